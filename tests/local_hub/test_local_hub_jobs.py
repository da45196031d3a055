"""Jobs of the embedded Hub through the stock client: run where that was asked for, watched, ended, secrets kept."""

import time

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from hf_stilts.local_hub import LocalHub

TOKEN = "a-word-that-only-we-know"


@pytest.fixture
def running(tmp_path):
    with LocalHub(tmp_path / "hub", token=TOKEN, run_jobs=True) as hub:
        yield HfApi(endpoint=hub.url, token=TOKEN)


def run(api, code, **more):
    return api.run_job(image="any", command=["python", "-c", code], namespace="me", **more)


def ended(api, job):
    return api.wait_for_job(job_id=job.id, namespace="me", poll_interval=0.05, timeout=60)


def test_a_job_runs_with_its_environment_and_tells_what_it_printed(running):
    code = "import os; print('first'); print(os.environ['A'], len(os.environ['HF_TOKEN']), os.environ['HF_ENDPOINT'])"
    job = run(
        running, code, env={"A": "given"}, secrets={"HF_TOKEN": "hidden"}, labels={"cell": "1"}, flavor="t4-small"
    )
    done = ended(running, job)
    assert done.status.stage == "COMPLETED" and done.flavor == "t4-small" and done.labels["cell"] == "1"
    lines = [*running.fetch_job_logs(job_id=job.id, namespace="me")]
    assert lines == ["first", f"given 6 {running.endpoint}"]
    assert [*running.fetch_job_logs(job_id=job.id, namespace="me", tail=1)] == lines[1:]
    assert "hidden" not in str(done) and done.environment == {"A": "given"}


def test_a_job_fails_is_cancelled_or_runs_out_of_time(running):
    failed = run(running, "raise ValueError('it went wrong')")
    slow = run(running, "import time; print('begun', flush=True); time.sleep(600)")
    short = run(running, "import time; time.sleep(600)", timeout=1)
    assert ended(running, failed).status.message == "exit code 1"
    assert [*running.fetch_job_logs(job_id=failed.id, namespace="me")][-1] == "ValueError: it went wrong"
    while running.inspect_job(job_id=slow.id, namespace="me").status.stage != "RUNNING":
        time.sleep(0.05)
    running.cancel_job(job_id=slow.id, namespace="me")
    assert ended(running, slow).status.stage == "CANCELED"
    stopped = ended(running, short)
    assert (stopped.status.stage, stopped.status.message) == ("ERROR", "the time limit is over")
    absent = running.run_job(image="any", command=["no-such-command"], namespace="me")
    assert ended(running, absent).status.stage == "ERROR"
    errors = {job.id for job in running.list_jobs(namespace="me", status="ERROR")}
    assert errors == {failed.id, short.id, absent.id} and [*running.list_jobs(namespace="you")] == []
    assert [job.id for job in running.list_jobs(namespace="me", labels={"name": slow.labels["name"]})] == [slow.id]


def test_hardware_has_prices(running):
    prices = {each.name: (each.unit_cost_usd, each.unit_label) for each in running.list_jobs_hardware()}
    assert prices["a10g-small"] == (pytest.approx(0.016667), "minute")


def test_jobs_are_off_unless_asked_for_and_want_a_token(tmp_path):
    with LocalHub(tmp_path / "off", token=TOKEN) as hub:
        with pytest.raises(HfHubHTTPError, match="403.*runs no jobs.*--run-jobs"):
            run(HfApi(endpoint=hub.url, token=TOKEN), "print(1)")
    with pytest.raises(ValueError, match="jobs are commands that run as you.*--token"):
        LocalHub(tmp_path / "open", run_jobs=True).__enter__()
    with LocalHub(tmp_path / "on", token=TOKEN, run_jobs=True) as hub:
        with pytest.raises(HfHubHTTPError, match="401"):
            run(HfApi(endpoint=hub.url, token="another"), "print(1)")


def test_jobs_end_with_their_hub(tmp_path):
    with LocalHub(tmp_path / "hub", token=TOKEN, run_jobs=True) as hub:
        api = HfApi(endpoint=hub.url, token=TOKEN)
        run(api, f"import time; open({str(tmp_path / 'begun')!r}, 'w'); time.sleep(600)")
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        (job,) = hub._jobs.jobs.values()
    assert job.process.poll() is not None and job.stage == "CANCELED"
