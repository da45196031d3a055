"""CSV and JSON of a mirror are not guessed at, and a mirror is the folder that was named."""

import json
import string

import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_stilts.data.load import data_revision, load
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task

NLI = Task(
    kind="text-classification",
    dataset="x/nli",
    columns={"text": "premise", "text_pair": "hypothesis"},
    labels=("no", "yes"),
    name="nli",
)
WORDS = ["null", "NA", "None", "nan", "N/A", "", "007", "2020-01-01", "1e5", "true", "-"]


def write(root, files):
    folder = root / "x" / "nli"
    folder.mkdir(parents=True)
    ending = next(iter(files)).rpartition(".")[2]
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: 'train*.{ending}'\n---\n"
    )
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return root


def csv_of(words, comma=","):
    lines = [comma.join(("id", "premise", "hypothesis", "label"))]
    lines += [
        comma.join((f"00{number}", f'"{word}"', f'"{word}"', str(number % 2))) for number, word in enumerate(words)
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("limit", [None, 50])
@pytest.mark.parametrize(("name", "comma"), [("train.csv", ","), ("train.tsv", "\t")])
def test_words_of_csv_are_words(name, comma, limit, tmp_path):
    rows = load(NLI, data_dir=write(tmp_path, {name: csv_of(WORDS, comma)}), limit=limit)
    assert rows["text"][:] == WORDS
    assert rows["text_pair"][:] == WORDS
    assert rows["id"][:] == [f"00{number}" for number in range(len(WORDS))]
    assert rows["label"][:] == [number % 2 for number in range(len(WORDS))]


def json_of(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("limit", [None, 50])
def test_texts_of_json_are_texts_and_files_go_together(limit, tmp_path):
    """A date is a text; the first file has nulls only where the second has texts; one id is missing."""
    first = [{"id": 9007199254740993, "premise": "2020-01-01", "hypothesis": None, "label": 0}]
    second = [{"premise": "2020-01-01T10:00:00", "hypothesis": "007", "label": 1}]
    files = {"train-0.jsonl": json_of(first), "train-1.jsonl": json_of(second)}
    rows = load(NLI, data_dir=write(tmp_path, files), limit=limit)
    assert rows["text"][:] == ["2020-01-01", "2020-01-01T10:00:00"]
    assert rows["text_pair"][1] == "007"
    assert rows["id"][0] == "9007199254740993"


def test_a_list_of_objects_is_read_too(tmp_path):
    rows = [{"premise": "a", "hypothesis": "1999-12-31", "label": 1}]
    assert load(NLI, data_dir=write(tmp_path, {"train.json": json.dumps(rows)}))["text_pair"][:] == ["1999-12-31"]


def test_what_cannot_be_read_names_file_and_line(tmp_path):
    with pytest.raises(StiltsError, match=r"train.jsonl, line 2 is no JSON object"):
        load(NLI, data_dir=write(tmp_path / "a", {"train.jsonl": json_of([{"premise": "a"}]) + "{\n"}))
    mixed = json_of([{"premise": "a", "label": 0}, {"premise": 1, "label": 0}])
    with pytest.raises(StiltsError, match=r"train.jsonl cannot be read.*one type"):
        load(NLI, data_dir=write(tmp_path / "b", {"train.jsonl": mixed}))


def parquet(root, text):
    write(root, {"train.parquet": ""})
    Dataset.from_list([{"premise": text, "hypothesis": text, "label": 0}]).to_parquet(root / "x/nli/train.parquet")
    return root


@pytest.mark.parametrize(
    ("named", "beside"),
    [("run[1]", "run1"), ("noise*", "noise2"), ("q?", "q1"), ("a]b", "ab"), ("{a,b}", "a"), ("[!x]", "y"), ("**", "z")],
)
def test_the_folder_that_was_named_is_read_and_no_other(named, beside, tmp_path):
    ours, other = parquet(tmp_path / named, "ours"), parquet(tmp_path / beside, "another")
    assert load(NLI, data_dir=ours)["text"][:] == ["ours"]
    assert load(NLI, data_dir=ours, limit=9)["text"][:] == ["ours"]
    assert data_revision(NLI, "en", data_dir=ours) != data_revision(NLI, "en", data_dir=other)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(string.ascii_letters + "[]*?!{},-^~#% ", min_size=1, max_size=8).filter(lambda name: name.strip() == name)
)
def test_any_name_of_a_folder(tmp_path_factory, name):
    root = tmp_path_factory.mktemp("any")
    parquet(root / "other", "another")
    assert load(NLI, data_dir=parquet(root / f"m{name}", "ours"))["text"][:] == ["ours"]


def test_a_path_that_reads_like_an_archive_is_refused(tmp_path):
    with pytest.raises(StiltsError, match="holds '::'.*Rename it"):
        load(NLI, data_dir=parquet(tmp_path / "a::b", "ours"))
