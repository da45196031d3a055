"""Runs in several languages: what they train on, what their record, card and repository's name say, how it is typed."""

import hashlib
import json

import pytest
import tiny
import tiny_translators
from datasets import Dataset
from language_rows import PAIRS, pair, store
from transformers import TrainingArguments
from typer.testing import CliRunner

from hf_stilts.augmentation.noise import Noise
from hf_stilts.augmentation.noisy_rows import load_noisy, misspell
from hf_stilts.augmentation.translators import ModelTranslator
from hf_stilts.cli import app
from hf_stilts.cli.noise import misspelt
from hf_stilts.data.derived import write_made
from hf_stilts.data.load import load
from hf_stilts.data.overlap import overlap
from hf_stilts.errors import StiltsError
from hf_stilts.hub.card import render
from hf_stilts.hub.naming import language_suffix, repo_id
from hf_stilts.hub.record import Record
from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.task import Task
from hf_stilts.training.trainer import IntermediateTrainer

TASK_FILE = '''"""Pairs, for a test."""
from hf_stilts.task import Task
TASK = Task(kind="text-classification", dataset="x/pairs", config="{language}", languages=("en", "sw"),
            labels=("no", "yes"), license="cc-by-4.0")
'''


@pytest.fixture
def mirror(tmp_path):
    rows = {language: [pair(n, language) for n in range(12)] for language in ("en", "sw")}
    root = store(
        tmp_path / "mirror", PAIRS, {code: {"train": each, "validation": each[:2]} for code, each in rows.items()}
    )
    write_made(PAIRS, "de-t-en", {"train": [{**row, "text": "die Katze"} for row in rows["en"]]}, root, {"by": "hand"})
    return root


def trainer(tmp_path, mirror, **more):
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, max_steps=1, save_strategy="no", report_to=[])
    return IntermediateTrainer(tiny.save(tmp_path / "public"), args, task=PAIRS, data_dir=mirror, **more)


def sources(record):
    return [(task.name, task.language, task.config, task.rows) for task in record.tasks]


def test_shares_reach_the_record_the_card_and_the_name(tmp_path, mirror):
    run = trainer(tmp_path, mirror, languages={"sw": 0.75, "de": 0.25}, limit=8)
    record = run.record()
    assert sources(record) == [("pairs", "de", "de-t-en", 2), ("pairs", "sw", "sw", 6)]
    assert record.languages == ("de", "sw") and record.rows_by_language == {"de": 2, "sw": 6}
    assert len({task.revision for task in record.tasks}) == 2
    assert all(task.license == "cc-by-4.0" and task.dataset == "x/pairs" for task in record.tasks)
    assert Record.from_json(record.to_json()) == record
    name = PublishCheckpoints(namespace="org", record=record).destination(run.args, run.model)
    assert name == "org/public-stilts-pairs-25de.75sw"
    card = render(record, name, "step-1")
    assert "language:\n- de\n- sw\n" in card and "stilts-task-pairs" in card
    assert "pairs: x/pairs, de-t-en, train, in de |" in card and "pairs: x/pairs, sw, train, in sw |" in card
    run.train()
    assert run.evaluate()["eval_accuracy"] in (0, 50, 100)  # two English rows


@pytest.mark.parametrize(
    ("languages", "name", "codes"),
    [
        (None, "pairs", ("en",)),
        ("en", "pairs", ("en",)),
        ("sw", "pairs-sw", ("sw",)),
        ("de-t-en", "pairs-de-t-en", ("de",)),
        ("en,sw", "pairs-50en.50sw", ("en", "sw")),
    ],
)
def test_another_language_has_another_name(tmp_path, mirror, languages, name, codes):
    run = trainer(tmp_path, mirror, languages=languages)
    record = run.record()
    assert PublishCheckpoints(record=record).destination(run.args, run.model) == f"public-stilts-{name}"
    assert record.languages == codes and sum(task.rows for task in record.tasks) == 12


def test_own_rows_say_their_languages(tmp_path, mirror):
    own = Dataset.from_list([{**pair(n), "language": "fr" if n else "en"} for n in range(4)])
    record = trainer(tmp_path, mirror, train_dataset=own).record()
    assert sources(record) == [("pairs", "en", None, 1), ("pairs", "fr", None, 3)]
    strange = own.remove_columns("language").add_column("language", ["Klingon"] * 4)
    assert sources(trainer(tmp_path, mirror, train_dataset=strange).record()) == [("pairs", None, None, 4)]
    with pytest.raises(StiltsError, match="train_dataset= brings"):
        trainer(tmp_path, mirror, train_dataset=own, languages="sw")


def test_listed_rows_are_not_trained_on(tmp_path, mirror):
    test = Task(kind="bitext-retrieval", dataset="x/bitext", config="{language}", languages=("sw",), name="bitext")
    store(mirror, test, {"sw": {"test": [{"source": "en one 3", "target": "en two 5"}]}})
    file = overlap(PAIRS, [test], data_dir=mirror).exclusion().save(tmp_path / "exclude.json")
    run = trainer(tmp_path, mirror, exclude=file)
    assert len(run.train_dataset) == 10 and run.record().tasks[0].rows == 10
    assert run.record().recipe["excluded"] == hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    assert "excluded" not in trainer(tmp_path, mirror).record().recipe


def test_names_of_shares():
    assert language_suffix({"en": 1, "sw": 2}) == "-33en.67sw"
    assert language_suffix({"en": 5, "sw": 0}) == ""
    assert repo_id(None, "b", ["mnli"], 3, {"en-x-cs50-de-sw": 9}) == "b-stilts-mnli-en-x-cs50-de-sw-seed3"


def command(*words):
    result = CliRunner().invoke(app, list(map(str, words)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout.strip().splitlines()[-1])


def test_a_model_translates_from_the_command_line(tmp_path, mirror, monkeypatch):
    """A random MarianMT: what it says means nothing and has no end, so the test ends it; it is written and loaded."""
    monkeypatch.setattr(ModelTranslator, "_text", lambda self, output, length: f"neno {output[1]}")
    pytest.importorskip("sentencepiece")
    task = tmp_path / "pairs.py"
    task.write_text(TASK_FILE)
    model = tiny_translators.save(tmp_path / "marian", "marian")
    words = ["data", "translate", task, "--to", "sw", "--model", model, "--beams", 1, "--out", mirror, "--json"]
    (report,) = command(*words, "--data-dir", mirror)
    assert report["language"] == "sw-t-en" and report["rows"] == 12
    rows = load(PAIRS, language="sw-t-en", data_dir=mirror)
    assert len(rows) == report["kept"] > 0 and all(rows["text"])
    assert command(*words, "--data-dir", mirror) == [report]


def test_commands(tmp_path, mirror):
    """Switch, list, train: each command's result is what the next one reads."""
    task = tmp_path / "pairs.py"
    task.write_text(TASK_FILE)
    (tmp_path / "en-de.txt").write_text("one eins\n")
    (switched,) = command(
        "data", "code-switch", task, "--to", "de", "--lexicons", tmp_path, "--out", mirror, "--data-dir", mirror,
        "--json",
    )  # fmt: skip
    assert switched["language"] == "en-x-cs50-de" and switched["rows"] == 12
    report = command(
        "data", "overlap", task, "--against", task, "--against-languages", "sw", "--exclude", tmp_path / "list.json",
        "--data-dir", mirror, "--json",
    )  # fmt: skip
    assert report[0]["sharing"] == 0  # the Swahili validation rows are in Swahili
    public = tiny.save(tmp_path / "public")
    (run,) = command(
        "intermediate", task, "--base", public, "--languages", "en=0.5,en-x-cs50-de=0.5", "--limit", 8, "--data-dir",
        mirror, "--exclude", tmp_path / "list.json", "--no-publish", "--json", "--max_steps", 1, "--use_cpu", "true",
        "--output_dir", tmp_path / "out",
    )  # fmt: skip
    record = Record.from_json((tmp_path / "out" / "stilts.json").read_text())
    assert run["steps"] == 1 and record.rows_by_language == {"en": 4, "en-x-cs50-de": 4}
    assert record.languages == ("en", "de")
    other = tmp_path / "others.py"
    other.write_text(TASK_FILE)
    command(
        "intermediate", task, other, "--base", public, "--languages", "sw", "--limit", 8, "--data-dir",
        mirror, "--no-publish", "--json", "--max_steps", 2, "--use_cpu", "true", "--output_dir", tmp_path / "both",
    )  # fmt: skip
    record = Record.from_json((tmp_path / "both" / "stilts.json").read_text())
    assert record.rows_by_language == {"sw": 16}


def test_training_on_misspelt_rows_says_so(tmp_path, mirror):
    clean = load(PAIRS, "train", "sw", data_dir=mirror)
    run = trainer(tmp_path, mirror, languages={"sw-x-nz50-character-1": 0.5, "en": 0.5}, limit=8)
    record = run.record()
    assert sources(record) == [("pairs", "en", "en", 4), ("pairs", "sw-x-nz50-character-1", "sw", 4)]
    assert record.languages == ("en", "sw")
    name = PublishCheckpoints(namespace="org", record=record).destination(run.args, run.model)
    assert name == "org/public-stilts-pairs-50en.50sw-x-nz50-character-1"
    by_id = {row["id"]: row for row in clean}
    rows = [row for row in run.train_rows if row["language"] != "en"]
    assert len(rows) == 4 and all(row["label"] == by_id[row["id"]]["label"] for row in rows)
    assert any(row["text"] != by_id[row["id"]]["text"] for row in rows)
    run.train()


def test_misspelt_rows_of_a_mirror_are_the_ones_that_are_made(tmp_path, mirror):
    made = load_noisy(PAIRS, "train", "de-t-en-x-nz30-keyboard-2", data_dir=mirror)
    misspell(PAIRS, Noise("keyboard", 0.3, seed=2), mirror, languages=["de-t-en"], data_dir=mirror)
    assert load(PAIRS, "train", "de-t-en-x-nz30-keyboard-2", data_dir=mirror)["text"] == made["text"]
    with pytest.raises(StiltsError, match="--noise-dictionaries"):
        load_noisy(PAIRS, "train", "en-x-nz30-natural-2", data_dir=mirror)


@pytest.mark.parametrize(
    ("languages", "noise", "trained"),
    [
        (None, None, None),
        (None, "keyboard=0", None),
        (None, "keyboard=0.1", "en-x-nz10-keyboard-3"),
        ("de-t-en=0.5, sw=0.5", "case=0.05", "de-t-en-x-nz5-case-3=0.5,sw-x-nz5-case-3=0.5"),
    ],
)
def test_noise_of_a_training_as_it_is_typed(languages, noise, trained):
    assert misspelt(languages, noise, 3) == trained


@pytest.mark.parametrize("noise", ["keyboard=0.1:text", "natural=0.1", "keyboard=0.125", "keybord=0.1"])
def test_noise_that_a_training_cannot_have(noise):
    with pytest.raises(StiltsError, match="noise"):
        misspelt(None, noise, 0)
