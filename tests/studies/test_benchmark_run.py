"""A whole benchmark as one call: one training for each set of rows, every language once, and on where it was."""

import json

import mirrors
import pytest
import tiny
from mirrors import CHOSEN

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.results import read_results
from hf_stilts.files import read_lines, write_lines
from hf_stilts.studies import benchmark as benchmark_run
from hf_stilts.studies.benchmark import IncompleteRun, benchmark_scores, run_benchmark
from hf_stilts.studies.gains import gains

PARTS = [
    ("xquad", "de"), ("xquad", "en"), ("mlqa", "de"), ("mlqa", "en"), ("udpos", "de"), ("udpos", "en"), ("udpos", "fi"),
    ("tatoeba", "de"), ("tatoeba", "fi"),
]  # fmt: skip


@pytest.fixture
def world(tmp_path):
    return {"model": tiny.save(tmp_path / "public"), "data_dir": mirrors.build(tmp_path / "mirror", mirrors.SMALL)}


def parts(table):
    return list(dict.fromkeys(zip(table["task"], table["language"], strict=True)))


def test_every_target_is_trained_once_and_scored_in_every_language(world, tmp_path):
    table = run_benchmark("xtreme", out=tmp_path / "run", **world, **CHOSEN)
    assert set(parts(table)) == set(PARTS)
    assert sorted(path.name for path in (tmp_path / "run" / "training").iterdir()) == ["squad_v1", "udpos"]
    main = table[table["main"]]
    assert dict(zip(main["task"], main["metric"], strict=True)) == {
        "xquad": "em_and_f1", "mlqa": "em_and_f1", "udpos": "f1", "tatoeba": "accuracy",
    }  # fmt: skip
    settings = dict(zip(zip(main["task"], main["language"], strict=True), main["setting"], strict=True))
    assert settings["xquad", "en"] == "in-language" and settings["xquad", "de"] == "zero-shot"
    assert settings["tatoeba", "de"] == "no target training"
    assert set(table["intermediate"]) == {"none"}
    assert main.set_index("task").loc["udpos", "dev_score"].notna().all()
    assert read_results(tmp_path / "run")["score"].tolist() == table["score"].tolist()


def test_predictions_carry_what_the_main_score_is_made_of(world, tmp_path):
    table = run_benchmark("xtreme", out=tmp_path / "run", **world, **CHOSEN)
    for row in table[table["main"]].to_dict("records"):
        lines = read_lines(tmp_path / "run" / "predictions" / row["task"] / f"{row['language']}.jsonl")
        assert len(lines) == 10 and {"id", "prediction"} < set(lines[0])
        gained, possible = (sum(line[name] for line in lines) for name in ("gained", "possible"))
        assert 100 * gained / possible == pytest.approx(row["score"])


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been_killed(world, tmp_path, monkeypatch):
    whole = run_benchmark("xtreme", out=tmp_path / "whole", **world, **CHOSEN)
    for fatal in (2, 5, 10):  # during an evaluation, while writing predictions, and in another task
        calls = []

        def killed(path, rows, calls=calls, fatal=fatal, write=benchmark_run.write_lines):
            calls.append(path)
            if len(calls) == fatal:
                raise KeyboardInterrupt
            write(path, rows)

        with monkeypatch.context() as patched:
            patched.setattr(benchmark_run, "write_lines", killed)
            with pytest.raises(KeyboardInterrupt):
                run_benchmark("xtreme", out=tmp_path / "run", **world, **CHOSEN)
    trained = []
    with monkeypatch.context() as patched:
        train = benchmark_run.run_phase
        patched.setattr(
            benchmark_run, "run_phase", lambda *args, **named: trained.append(args[1].name) or train(*args, **named)
        )
        again = run_benchmark("xtreme", out=tmp_path / "run", **world, **CHOSEN)
    assert "xquad" not in trained, "what is trained is not trained again"
    kept = ["task", "language", "metric", "score", "main", "setting", "dev_score"]
    assert again[kept].equals(whole[kept])
    for task, language in parts(whole):
        name = f"predictions/{task}/{language}.jsonl"
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "run").rglob(".*")), "nothing half-written is left"


def test_a_finished_run_does_nothing_and_more_languages_are_added(world, tmp_path, monkeypatch):
    less = {**CHOSEN, "tasks": ["udpos"], "languages": ["fi"]}
    first = run_benchmark("xtreme", out=tmp_path / "run", **world, **less)
    monkeypatch.setattr(benchmark_run, "run_phase", lambda *_, **__: pytest.fail("trained again"))
    assert run_benchmark("xtreme", out=tmp_path / "run", **world, **less).equals(first)
    more = run_benchmark("xtreme", out=tmp_path / "run", **world, **{**less, "languages": ["fi", "en"]})
    assert parts(more) == [("udpos", "fi"), ("udpos", "en")]


def test_a_training_that_a_kill_left_half_goes_on(world, tmp_path, caplog):
    less = {**CHOSEN, "tasks": ["udpos"], "languages": ["fi"]}
    whole = run_benchmark("xtreme", out=tmp_path / "run", **world, **less)
    training = tmp_path / "run/training/udpos"
    last = max(training.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    for file in (training / "trained.json", training / "stilts.json", last / "trainer_state.json"):
        file.unlink()
    (tmp_path / "run/results.jsonl").unlink()
    again = run_benchmark("xtreme", out=tmp_path / "run", **world, **less)
    assert any(f"{last} is not whole" in line for line in caplog.messages)
    assert again.equals(whole)
    weights = training / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (tmp_path / "run/results.jsonl").unlink()
    assert run_benchmark("xtreme", out=tmp_path / "run", **world, **less).equals(whole), "cut by hand: written again"


def test_the_folder_of_another_run_is_refused(world, tmp_path):
    less = {**CHOSEN, "tasks": ["tatoeba"]}
    run_benchmark("xtreme", out=tmp_path / "run", **world, **less)
    with pytest.raises(StiltsError, match="holds a run with recipe 'jiant'; this one has 'paper'"):
        run_benchmark("xtreme", out=tmp_path / "run", recipe="paper", **world, **less)
    quiet = [*less["flags"], "--disable_tqdm=true", "--logging_steps", "7"]
    run_benchmark("xtreme", out=tmp_path / "run", **world, **{**less, "flags": quiet})  # decides no result
    with pytest.raises(StiltsError, match="holds a run with flags .*--output-dir"):
        run_benchmark("xtreme", out=tmp_path / "run", **world, **{**less, "flags": [*quiet, "--seed", "7"]})
    with pytest.raises(StiltsError, match="XTREME has no language az"):
        run_benchmark("xtreme", out=tmp_path / "run", **world, **{**less, "languages": ["az"]})


def test_the_intermediate_checkpoint_is_the_start_and_the_encoder_of_retrieval(world, tmp_path):
    other = tiny.save(tmp_path / "mnli", seed=5)
    less = {**CHOSEN, "tasks": ["udpos", "tatoeba"], "languages": ["fi"]}
    plain = run_benchmark("xtreme", out=tmp_path / "plain", **world, **less)
    table = run_benchmark("xtreme", out=tmp_path / "run", init=other, **world, **less)
    assert set(table["intermediate"]) == {"mnli"} and set(table["base"]) == {world["model"]}
    trained = json.loads((tmp_path / "run" / "training" / "udpos" / "stilts.json").read_text())
    assert trained["parent"]["id"] == "mnli"
    assert plain[plain["task"] == "tatoeba"]["model"].iloc[0] == world["model"]
    assert table[table["task"] == "tatoeba"]["model"].iloc[0] == other


def test_every_target_may_be_trained_by_an_adapter(world, tmp_path):
    less = {**CHOSEN, "tasks": ["udpos", "xcopa"], "languages": ["de", "et"]}
    stages = {task: {"train": ["en"], "validation": ["en"]} for task in ("siqa", "copa")}
    scored = {"xcopa": {"test": ["et"]}, "udpos": {"train": ["en"], "validation": ["en"], "test": ["de", "et"]}}
    world["data_dir"] = mirrors.build(tmp_path / "more", stages | scored)
    table = run_benchmark("xtreme-r", out=tmp_path / "run", adapter="lora=4", **world, **less)
    assert set(parts(table)) == {("udpos", "de"), ("udpos", "et"), ("xcopa", "et")}
    for trained in ("udpos", "siqa-copa"):
        files = {path.name for path in (tmp_path / "run" / "training" / trained).iterdir()}
        assert "adapter_model.safetensors" in files and "model.safetensors" not in files
    with pytest.raises(StiltsError, match="holds a run with adapter 'lora=4'; this one has None"):
        run_benchmark("xtreme-r", out=tmp_path / "run", **world, **less)


def test_targets_are_trained_in_several_languages_where_that_was_asked_for(world, tmp_path):
    """Of ten rows in each of three languages; German is of the trained ones, Estonian is not."""
    less = {**CHOSEN, "tasks": ["udpos"], "languages": ["de", "et"]}
    splits = {"train": ["en", "de", "fi"], "validation": ["en"], "test": ["de", "et"]}
    world["data_dir"] = mirrors.build(tmp_path / "more", {"udpos": splits})
    table = run_benchmark("xtreme", out=tmp_path / "run", train_languages="en=0.5,de=0.5", **world, **less)
    settings = dict(zip(table["language"], table["setting"], strict=True))
    assert settings == {"de": "in-language", "et": "zero-shot"}
    assert set(table["intermediate"]) == {"none, trained on en=0.5,de=0.5"}
    record = json.loads((tmp_path / "run/training/udpos/stilts.json").read_text())
    assert set(record["languages"]) == {"en", "de"}
    with pytest.raises(
        StiltsError, match="with label 'none, trained on en=0.5,de=0.5'; this one has 'none, trained on en,fi'"
    ):
        run_benchmark("xtreme", out=tmp_path / "run", train_languages="en,fi", **world, **less)
    english = run_benchmark("xtreme", out=tmp_path / "english", train_languages="en", **world, **less)
    assert set(english["intermediate"]) == {"none"}, "English is what it is without"
    assert "train_languages" not in json.loads((tmp_path / "english/settings.json").read_text())
    report = gains([tmp_path / "run", tmp_path / "english"])
    assert {row["intermediate"] for row in report.tasks} == {"none, trained on en=0.5,de=0.5"}
    rows = read_lines(tmp_path / "run/results.jsonl")
    write_lines(tmp_path / "guessed/results.jsonl", [row | {"train_languages": None} for row in rows])
    with pytest.raises(StiltsError, match="udpos de was scored with setting .*in-language"):
        gains([tmp_path / "guessed", tmp_path / "english"])


def test_averages_and_what_a_reader_should_know(world, tmp_path):
    table = run_benchmark("xtreme", out=tmp_path / "run", **world, **CHOSEN)
    found = benchmark_scores(table, "xtreme")
    assert list(found["tasks"]) == ["udpos", "xquad", "mlqa", "tatoeba"]
    assert (found["tasks"]["xquad"]["languages"], found["tasks"]["xquad"]["should be"]) == (2, 11)
    assert found["groups"] == {} and not found["complete"]
    assert "do not compare" in found["notes"][0]
    main = table[table["main"] & (table["task"] == "udpos")]
    assert found["tasks"]["udpos"]["score"] == pytest.approx(main["score"].mean())


def test_a_model_that_cannot_be_is_refused_before_a_folder_is_claimed(tmp_path):
    with pytest.raises(StiltsError, match="/no/such is neither a folder here nor a name on the Hub"):
        run_benchmark("xtreme", "/no/such", out=tmp_path / "run", tasks=["tatoeba"])
    assert not (tmp_path / "run").exists()


def test_a_task_whose_rows_are_missing_stops_no_other_and_is_named_at_the_end(world, tmp_path):
    """The mirror has udpos in en, de and fi, and nothing of xnli."""
    some = {"tasks": ["xnli", "udpos", "tatoeba"], "languages": ["de", "fi", "et"], "flags": CHOSEN["flags"]}
    with pytest.raises(IncompleteRun, match="3 of 3|2 of 3|1 of 3") as told:
        run_benchmark("xtreme", out=tmp_path / "run", **world, **some)
    assert set(told.value.failed) == {"xnli", "udpos", "tatoeba"}
    assert "has no test rows here in 1 of 3 languages: et" in str(told.value.failed["udpos"])
    with pytest.raises(IncompleteRun) as told:
        run_benchmark("xtreme", out=tmp_path / "run", available=True, **world, **some)
    assert set(told.value.failed) == {"xnli"} and "xnli: No " in str(told.value)
    there = [("udpos", "de"), ("udpos", "fi"), ("tatoeba", "de"), ("tatoeba", "fi")]
    assert parts(told.value.table) == there == parts(read_results(tmp_path / "run"))


def test_a_training_that_fails_leaves_the_other_tasks(world, tmp_path, monkeypatch):
    def fails(phase, task, *more, **named):
        raise OSError("no space left")

    monkeypatch.setattr(benchmark_run, "run_phase", fails)
    with pytest.raises(IncompleteRun, match="udpos: no space left") as told:
        run_benchmark("xtreme", out=tmp_path / "run", **world, **{**CHOSEN, "tasks": ["udpos", "tatoeba"]})
    assert parts(told.value.table) == [("tatoeba", "de"), ("tatoeba", "fi")]


def test_one_cause_that_stops_everything_is_raised_itself(world, tmp_path):
    with pytest.raises(ValueError, match="max_stepz") as told:
        run_benchmark(
            "xtreme", out=tmp_path / "run", **world, tasks=["udpos", "xquad"], languages=["en"], flags=["--max_stepz"]
        )
    assert not isinstance(told.value, IncompleteRun)


def test_a_language_is_left_out_of_one_task(world, tmp_path):
    chosen = {**CHOSEN, "tasks": ["udpos", "tatoeba", "xquad"]}
    table = run_benchmark("xtreme", out=tmp_path / "run", skip=["udpos:en,de", "xquad"], **world, **chosen)
    assert parts(table) == [("udpos", "fi"), ("tatoeba", "de"), ("tatoeba", "fi")]
    for wrong, said in (("udpos:xx", "udpos has no language 'xx' in XTREME"), ("xcopa", "XTREME has no task xcopa")):
        with pytest.raises(StiltsError, match=said):
            run_benchmark("xtreme", out=tmp_path / "run", skip=[wrong], **world, **chosen)


def test_noisy_scores_lie_beside_the_clean_ones_and_share_their_training(world, tmp_path, monkeypatch):
    few = {**CHOSEN, "tasks": ["udpos", "tatoeba"]}
    clean = run_benchmark("xtreme", out=tmp_path / "run", **world, **few)
    monkeypatch.setattr(benchmark_run, "run_phase", lambda *args, **named: pytest.fail("it was trained again"))
    noisy = run_benchmark("xtreme", out=tmp_path / "run", **world, **few, noise="character=0.5", noise_seed=2)
    assert parts(noisy) == parts(clean) and set(noisy["noise"]) == {"character=0.5"}
    place = tmp_path / "run" / "noise" / "character=0.5-seed2"
    assert read_results(place)["score"].tolist() == noisy["score"].tolist()
    assert json.loads((place / "settings.json").read_text())["noise_seed"] == 2
    assert "noise" not in read_results(tmp_path / "run")
    assert len(read_lines(place / "predictions" / "udpos" / "de.jsonl")) == 10
