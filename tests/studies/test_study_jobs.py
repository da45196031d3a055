"""A study by Hugging Face Jobs: state by the Hub alone, a budget that is never passed, the token nowhere."""

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import mirrors
import pytest
import tiny
from command import run as command
from huggingface_hub import HfApi, JobStage

from hf_stilts.errors import StiltsError
from hf_stilts.files import read_lines
from hf_stilts.hub import reachable
from hf_stilts.local_hub import LocalHub
from hf_stilts.local_hub.jobs import Job
from hf_stilts.studies import hub_jobs as module
from hf_stilts.studies.cells import unfold
from hf_stilts.studies.hub_jobs import JobOptions, JobsRun, parse_jobs, price_of, run_on_jobs
from hf_stilts.studies.published import Publishing
from hf_stilts.studies.run import run_study
from hf_stilts.studies.status import status
from hf_stilts.studies.store import CellStore
from hf_stilts.studies.study import Intermediate, Study

TOKEN = "hf_OnlyTheSecretOfAJobHoldsThis"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def api(tmp_path, monkeypatch):
    """A stock client of an embedded Hub that runs jobs; their processes find this package and the test's workers."""
    monkeypatch.setattr(module, "POLL", 0.3)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with LocalHub(tmp_path / "hub", token=TOKEN, run_jobs=True) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield HfApi(endpoint=hub.url, token=TOKEN)


def publish_base(api, tmp_path):
    """A tiny base on the Hub, with its commit."""
    folder = tiny.save(tmp_path / "base")
    api.create_repo("me/base")
    return f"me/base@{api.upload_folder(repo_id='me/base', folder_path=folder).oid}"


def study(base, **other):
    fields = {"base": (base,), "arms": {"none": None, "squad": Intermediate("squad_v1")}, "targets": ("udpos",)}
    flags = {"max_steps": 8, "use_cpu": True, "per_device_train_batch_size": 4, "learning_rate": 0.01}
    return Study(**{**fields, "languages": ("en", "de"), "seeds": (7,), "flags": flags, "name": "tried", **other})


def scores(folder, made, mirror):
    store = CellStore(folder)
    return {
        (entry.arm, row["language"], row["metric"]): row["score"]
        for entry in unfold(made, data_dir=mirror).entries
        for row in read_lines(store.folder(entry.scores) / "results.jsonl")
    }


def kill_one(api, title, killed):
    """End the first job of a cell as soon as it runs."""
    while not killed:
        for job in api.list_jobs(namespace="me", status="RUNNING"):
            if job.labels["stilts-cell"] == title:
                api.cancel_job(job_id=job.id, namespace="me")
                killed.append(job.id)
        time.sleep(0.1)


@pytest.mark.slow
def test_a_study_by_jobs_one_of_them_killed_has_the_scores_of_a_plain_run(api, tmp_path):
    base, mirror = publish_base(api, tmp_path), mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    api.create_repo("me/mirror", repo_type="dataset")
    api.upload_folder(repo_id="me/mirror", repo_type="dataset", folder_path=mirror)
    made, told, killed = study(base), [], []
    cells = unfold(made, data_dir=mirror).cells
    first = next(name for name, cell in cells.items() if cell.stage == "intermediate")
    watcher = threading.Thread(target=kill_one, args=(api, first, killed), daemon=True)
    watcher.start()
    result = run_on_jobs(
        made, tmp_path / "run", JobOptions("a10g-small", timeout=600, image="here", data="me/mirror", at_once=2),
        Publishing("me"), max_price=5.0, data_dir=mirror, tell=lambda *said: told.append(said), api=api,
    )  # fmt: skip
    assert (result.failed, result.waiting, len(result.done)) == ({}, [], 5), told
    assert killed and ("failed", cells[first].title) in [said[:2] for said in told]
    assert f"Job {killed[0]} ended: CANCELED" in CellStore(tmp_path / "run").failures(first)[0]
    jobs = [*api.list_jobs(namespace="me")]
    assert len(jobs) == 6 and 0 < result.price < 5
    names = {info.id for info in api.list_models(author="me")}
    assert "me/base-stilts-squad_v1-seed7" in names and len(names) == 4, "base, intermediate and two targets"

    again = run_on_jobs(
        made, tmp_path / "elsewhere", JobOptions("a10g-small", data="me/mirror"), Publishing("me"), data_dir=mirror,
        api=api,
    )  # fmt: skip
    assert again.before == 5 and again.done == [] and len([*api.list_jobs(namespace="me")]) == 6
    run_study(made, tmp_path / "plain", data_dir=mirror)
    plain = scores(tmp_path / "plain", made, mirror)
    assert len(plain) == 16 and any(plain.values()) and plain == scores(tmp_path / "run", made, mirror)
    assert plain == scores(tmp_path / "elsewhere", made, mirror)

    searched = [*(tmp_path / "run").rglob("*"), *(tmp_path / "hub/jobs").rglob("*"), *_stored(api, tmp_path)]
    texts = [path for path in searched if path.is_file()]
    assert len(texts) > 20 and not [path for path in texts if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in "".join(str(job) for job in jobs) and TOKEN not in str(told)


def _stored(api, tmp_path):
    """All that lies in the repositories of the study, as files."""
    folders = [api.snapshot_download("me/tried-results", repo_type="dataset", local_dir=tmp_path / "seen/results")]
    for info in api.list_models(author="me"):
        folders.append(api.snapshot_download(info.id, local_dir=tmp_path / "seen" / info.id))
    return [path for folder in folders for path in Path(folder).rglob("*")]


def test_what_is_here_alone_is_refused_before_anything_is_submitted(api, tmp_path, monkeypatch):
    made, mirror = study(publish_base(api, tmp_path)), mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    options = JobOptions("a10g-small", image="here")
    with pytest.raises(StiltsError, match="a mirror on this machine.*hf upload.*data=YOU/mirror"):
        run_on_jobs(made, tmp_path / "run", options, Publishing("me"), data_dir=mirror, api=api)
    with pytest.raises(StiltsError, match="a folder of this machine.*--base YOU/NAME"):
        local = study(str(tmp_path / "base"))
        run_on_jobs(local, tmp_path / "run", options, Publishing("me"), data_dir=mirror, api=api)
    with pytest.raises(
        StiltsError, match=r"no hardware 'a10g-smal'; it has .*a10g-small \(1.00 USD an hour\).*Did you"
    ):
        run_on_jobs(made, tmp_path / "run", JobOptions("a10g-smal"), Publishing("me"), data_dir=mirror, api=api)
    assert [*api.list_jobs(namespace="me")] == []


@pytest.fixture
def at_once(api, tmp_path, monkeypatch):
    """Runs a study whose jobs fail at once: their image has another program for python."""
    mirror = mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    api.create_repo("me/mirror", repo_type="dataset")
    made = study(publish_base(api, tmp_path))

    def run(command=("python", "-c", "print('first'); raise ValueError('it went wrong')"), timeout=600, **more):
        monkeypatch.setattr(JobOptions, "command", list(command))
        options = JobOptions("a10g-small", timeout=timeout, data="me/mirror")
        return run_on_jobs(
            made, tmp_path / "run", options, Publishing("me"), data_dir=mirror, api=api, **more
        )  # fmt: skip

    return run


def test_a_failed_job_is_tried_once_more_and_its_log_says_why(api, at_once, tmp_path, monkeypatch):
    result = at_once()
    assert len(result.failed) == 2 and len(result.waiting) == 3 and len([*api.list_jobs(namespace="me")]) == 4
    assert all("exit code 1. ValueError: it went wrong" in why for why in result.failed.values())
    monkeypatch.setattr(module, "HfApi", lambda: api)
    shown = {cell["title"]: cell for cell in status("tried", tmp_path / "run").cells}
    title = next(iter(result.failed))
    assert shown[title]["state"] == "failed" and "it went wrong" in shown[title]["why"]
    assert shown[title]["log"] == "ValueError: it went wrong"
    assert len(at_once().failed) == 2, "the command, typed again, tries them again"
    assert len([*api.list_jobs(namespace="me")]) == 8


def test_the_price_is_never_passed(api, at_once):
    with pytest.raises(
        StiltsError, match=r"one job at most 4.00 USD \(4 hours of a10g-small at 1.00 USD\)[^~]*Nothing"
    ):
        at_once(timeout=4 * 3600, max_price=3.0)
    assert [*api.list_jobs(namespace="me")] == []
    told, most = [], []

    def tell(*said):
        told.append(said)
        if said[0] == "submitted":
            most.append(len([*api.list_jobs(namespace="me", status=["RUNNING", "SCHEDULING"])]))

    slow = ("python", "-c", "import time; time.sleep(1.5); raise ValueError('no')")
    result = at_once(slow, timeout=3600, max_price=1.9, tell=tell)
    assert max(most) == 1, "two at a time might cost 2 USD"
    assert len(result.failed) == 2 and 0 < result.price < 0.1


def test_status_asks_the_hub(api, at_once, tmp_path, monkeypatch):
    made = threading.Thread(target=at_once, args=(("python", "-c", "import time; time.sleep(600)"),), daemon=True)
    made.start()
    while len([*api.list_jobs(namespace="me", status="RUNNING")]) < 2:
        time.sleep(0.1)
    time.sleep(0.5)  # the note of the second follows its job
    monkeypatch.setattr(module, "HfApi", lambda: api)
    states = [cell["state"] for cell in status("tried", tmp_path / "run").cells]
    assert states.count("running") == 2 and states.count("to do") == 3
    ran = [cell for cell in status("tried", tmp_path / "run").cells if cell["state"] == "running"]
    assert all("job " in cell["why"] and "RUNNING" in cell["why"] for cell in ran)
    while made.is_alive():
        for job in api.list_jobs(namespace="me", status=["RUNNING", "SCHEDULING"]):
            api.cancel_job(job_id=job.id, namespace="me")
        made.join(timeout=0.2)


def test_a_stage_that_is_not_known_may_still_run_and_cost(api, at_once, monkeypatch):
    ended = {"COMPLETED", "CANCELED", "ERROR", "DELETED"}
    for stage in (*JobStage, "UPDATING"):
        job = SimpleNamespace(status=SimpleNamespace(stage=stage))
        assert module.is_live(job) == (stage not in ended), stage
    said = Job.as_json

    def as_json(self):
        found = said(self)
        if found["status"]["stage"] in ("SCHEDULING", "RUNNING"):
            found["status"]["stage"] = "UPDATING"
        return found

    monkeypatch.setattr(Job, "as_json", as_json)
    slow = ("python", "-c", "import time; time.sleep(1); raise ValueError('no')")
    assert len(at_once(slow).failed) == 2
    assert len([*api.list_jobs(namespace="me")]) == 4, "none is submitted again while it runs"


def test_options_of_jobs():
    options = parse_jobs("flavor=a10g-small,timeout=90m,at_once=3,data=me/mirror")
    assert (options.flavor, options.timeout, options.at_once, options.data) == ("a10g-small", 5400, 3, "me/mirror")
    assert options.command[:4] == ["uv", "run", "--no-project", "--with"] and options.command[4].startswith(
        "hf_stilts=="
    )
    assert parse_jobs("flavor=x,image=me/own").command == ["python", "-m", "hf_stilts.studies.job"]
    for wrong, said in {
        "timeout=4h": "names no hardware", "flavour=x": "Did you mean flavor", "flavor=x,timeout=4w": "means nothing",
        "flavor=x,at_once=0": "means nothing",
    }.items():  # fmt: skip
        with pytest.raises(StiltsError, match=said):
            parse_jobs(wrong)


def test_prices_are_those_of_the_hub(api):
    assert price_of("a10g-small", api) == pytest.approx(1.0, abs=0.001)


def test_the_plan_says_the_price_by_the_list_of_the_hub(api, monkeypatch, tmp_path):
    monkeypatch.setattr(reachable, "constants", SimpleNamespace(ENDPOINT=api.endpoint))
    monkeypatch.setattr(module, "HfApi", lambda: api)
    words = ("study", "plan", "phang2020", "--scale", "small", "--output-dir", tmp_path, "--jobs", "flavor=t4-small")
    found = json.loads(command(*words, "--rate", "100", "--json")[1])
    hours = found["stages"][-1]["hours"]
    assert found["price"] == {"flavor": "t4-small", "hour": pytest.approx(0.40002), "usd": round(hours * 0.40002, 2)}
    assert "0.40 USD an hour of t4-small by the Hub's list; in all " in command(*words, "--rate", "100")[1]
    assert "in all not known" in command(*words)[1]


def test_options_that_belong_to_jobs_are_refused_without_them(mistake):
    assert "Add --namespace YOU" in mistake("study", "run", "phang2020", "--jobs", "flavor=x")
    assert "--jobs was not given" in mistake("study", "run", "phang2020", "--max-price", "3")
    words = ("study", "run", "phang2020", "--jobs", "flavor=x", "--namespace", "me")
    assert "--slurm on others" in mistake(*words, "--slurm", "time=10")


def test_the_command_hands_its_options_on(monkeypatch, tmp_path):
    asked = []

    def run(study, folder, options, publish, **how):
        asked.append((study.name, folder, options.flavor, publish, how["max_price"]))
        return JobsRun(done=["a"], price=1.25)

    monkeypatch.setattr(module, "run_on_jobs", run)
    monkeypatch.setattr(reachable, "require_hub", lambda: None)
    words = ("study", "run", "phang2020", "--output-dir", tmp_path, "--jobs", "flavor=t4-small", "--namespace", "me")
    said = command(*words, "--max-price", "3", "--public")[1]
    assert asked == [("phang2020", tmp_path, "t4-small", Publishing("me", private=False), 3.0)]
    assert "1 cells done" in said and "cost 1.25 USD at most" in said and "Next: hf-stilts study report" in said
