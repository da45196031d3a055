"""The benchmark of phase three on real text: its stand-ins leak nothing, and the whole path runs at a small size."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import tiny
from places import DATA, ROOT

SCRIPT = ROOT / "benchmarks" / "targets_on_real_text.py"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real text at {DATA}; set HF_STILTS_TEST_DATA")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("targets_on_real_text", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def staged(script, task, folder):
    script.STAGES[task](DATA, folder)
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def test_mined_corpora_have_each_translation_once_among_sentences_without(script, tmp_path):
    files = staged(script, "bucc2018", tmp_path)
    for part, first in (("sample", 700), ("training", 850)):
        source, target, gold = (files[f"fr-en.{part}.{end}"].splitlines() for end in ("fr", "en", "gold"))
        assert (len(source), len(target), len(gold)) == (100, 100, 50)
        names = [line.split("\t")[0] for line in source]
        assert names[0] == f"fr-{first:09}" and gold[0].split("\t") == [f"fr-{first + 50:09}", f"en-{first + 50:09}"]
        shared = {name[3:] for name in names} & {line.split("\t")[0][3:] for line in target}
        assert shared == {pair.split("\t")[0][3:] for pair in gold}
    tuned = {name for name in files if ".sample." in name}
    lines = {line.split("\t")[1] for name in tuned if not name.endswith("gold") for line in files[name].splitlines()}
    tested = [line for name in files if name.endswith("training.fr") for line in files[name].splitlines()]
    assert not any(line.split("\t")[1] in lines for line in tested), "the threshold is set on other sentences"


def test_what_trains_is_not_what_tests(script, tmp_path):
    pairs = staged(script, "pawsx", tmp_path)
    assert not {*pairs["train-en.tsv"].splitlines()} & {*pairs["test-en.tsv"].splitlines()}
    assert not {*pairs["train-en.tsv"].splitlines()} & {*pairs["dev-en.tsv"].splitlines()}


def test_paragraphs_of_the_test_are_not_trained_on(script, tmp_path):
    def paragraphs(text):
        return {paragraph["context"] for article in json.loads(text)["data"] for paragraph in article["paragraphs"]}

    files = staged(script, "squad_v1", tmp_path)
    train, dev = (paragraphs(files[f"{part}-v1.1.json"]) for part in ("train", "dev"))
    tested = paragraphs((DATA / "xquad" / "xquad.en.json").read_text("utf-8"))
    assert train and dev and not train & dev and not (train | dev) & tested


def test_three_answers_hold_the_right_one(script, tmp_path):
    files = staged(script, "siqa", tmp_path)
    first, label = json.loads(files["train.jsonl"].splitlines()[0]), int(files["train-labels.lst"].splitlines()[0])
    raw = (DATA / "cosmosqa" / "valid.csv").read_text("utf-8")
    assert first["answer" + "ABC"[label - 1]] in raw
    assert len(files["train.jsonl"].splitlines()) == len(files["train-labels.lst"].splitlines()) > 2000


@pytest.mark.slow
def test_the_whole_path_runs_and_goes_on_where_it_was(tmp_path):
    encoder, other = tiny.save(tmp_path / "public"), tiny.save(tmp_path / "mnli", seed=3)
    command = [sys.executable, SCRIPT, "--raw", DATA, "--encoder", encoder, "--intermediate", other]
    command += ["--out", tmp_path / "out", "--steps", 2, "--limit", 4, "--tasks", "pawsx,bucc2018,lareqa"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    outputs = []
    for _ in range(2):
        done = subprocess.run(
            [str(word) for word in command], env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr[-3000:]
        outputs.append(done.stdout.strip().splitlines())
    found = json.loads(outputs[0][-1])
    assert [row["task"] for row in found["table"]] == ["pawsx", "bucc2018", "lareqa"]
    assert all(set(row["scores"]) == {"none", "mnli"} for row in found["table"])
    assert outputs[0][-1] == outputs[1][-1] and not any(line.startswith("built") for line in outputs[1])
