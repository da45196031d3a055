"""CSV and JSON of a mirror are not guessed at, and a mirror is the folder that was named."""

import gzip
import json
import string
from dataclasses import replace

import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_stilts.data.load import data_revision, load
from hf_stilts.dataset_scripts import build
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


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    with pytest.raises(StiltsError, match="train.jsonl is empty; one row at least"):
        load(NLI, data_dir=write(tmp_path, {"train.jsonl": ""}))


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


def texts_of(tmp_path, name, content, limit=None):
    content = content if isinstance(content, bytes) else content.encode()
    root = write(tmp_path, {name: ""})
    (root / "x" / "nli" / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return load(NLI, data_dir=root, limit=limit)["text"][:]


def test_quotes_of_a_plain_file_with_tabs_are_text(tmp_path):
    """Three lines with odd quotes were one row, and a sentence in quotes lost them."""
    lines = ["premise\thypothesis\tlabel", '"Nobody."\th\t1', '"Where?\th\t0', 'There"\th\t1']
    assert texts_of(tmp_path, "train.tsv", "\n".join(lines) + "\n") == ['"Nobody."', '"Where?', 'There"']


def test_a_cell_of_csv_may_hold_tabs_and_line_ends(tmp_path):
    lines = ["premise\thypothesis\tlabel", '"one\ttwo\nthree"\th\t1']
    assert texts_of(tmp_path, "train.tsv", "\n".join(lines) + "\n") == ["one\ttwo\nthree"]


def test_quotes_of_half_a_file_are_refused(tmp_path):
    lines = ["premise\thypothesis\tlabel", '"He said ""no""."\th\t1', 'He said "yes".\th\t0']
    with pytest.raises(StiltsError, match=r"train.tsv, line 2: found quotes doubled"):
        texts_of(tmp_path, "train.tsv", "\n".join(lines))


@pytest.mark.parametrize("limit", [None, 9])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", b"\xef\xbb\xbfpremise,hypothesis,label\n2020-01-01,b,1\n"),
        ("train.jsonl", b'\xef\xbb\xbf{"premise": "2020-01-01", "hypothesis": "b", "label": 1}\n'),
        ("train.jsonl.gz", b'{"premise": "2020-01-01", "hypothesis": "b", "label": 1}\n'),
        ("train.csv.gz", b"premise,hypothesis,label\n2020-01-01,b,1\n"),
        ("train.csv", b"premise,hypothesis,label\r\n2020-01-01,b,\r\n"),
    ],
)
def test_marks_and_packed_files_change_no_text(name, content, limit, tmp_path):
    assert texts_of(tmp_path, name, content, limit) == ["2020-01-01"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train.csv", "premise,hypothesis,label\na,b,1,\n", "train.csv, line 2 has 4 cells; expected 3"),
        ("train.csv", "premise,hypothesis,label\na,b,1\na\n", "train.csv, line 3 has 1 cells; expected 3"),
        ("train.csv", 'premise,hypothesis,label\na,"b" c,1\n', "train.csv, line 2 is no CSV"),
        ("train.csv", "", "train.csv has the header .none."),
        ("train.csv", "premise,premise\na,b\n", "train.csv has the header premise, premise"),
        ("train.csv", "premise\n".encode("utf-16"), "train.csv, line 1: found byte 0xff; expected utf-8"),
        ("train.jsonl", b'{"premise": "a"}\n{"premise": "\xed\xa0\x80"}\n', "train.jsonl, line 2: found byte 0xed"),
        ("train.jsonl", '{"premise": "\\ud800"}\n', "train.jsonl cannot be read"),
        ("train.jsonl", '{"id": 99999999999999999999, "premise": "a"}\n', "train.jsonl cannot be read"),
    ],
)
def test_what_is_damaged_names_the_file(name, content, said, tmp_path):
    with pytest.raises(StiltsError, match=said):
        texts_of(tmp_path, name, content)


@pytest.mark.parametrize("labels", [("no", "yes"), ()])
@pytest.mark.parametrize("name", ["train.csv", "train.jsonl", "train.parquet"])
def test_a_missing_label_is_none_with_and_without_a_limit(name, labels, tmp_path):
    rows = [{"premise": "a", "hypothesis": "b", "label": 1}, {"premise": "c", "hypothesis": "d", "label": None}]
    root = write(tmp_path, {name: ""})
    file = root / "x" / "nli" / name
    if name.endswith(".csv"):
        file.write_text("premise,hypothesis,label\na,b,1\nc,d,\n")
    elif name.endswith(".jsonl"):
        file.write_text(json_of(rows))
    else:
        Dataset.from_list(rows).to_parquet(file)
    task = replace(NLI, labels=labels)
    assert load(task, data_dir=root)["label"][:] == load(task, data_dir=root, limit=9)["label"][:] == [1, -1]


def test_a_mirror_is_not_built_where_it_could_not_be_read(tmp_path):
    for side, word in (("deu", "Eule"), ("eng", "owl")):
        (tmp_path / f"tatoeba.deu-eng.{side}").write_text(f"{word}\n")
    for odd in ("run[1]", "noise*", "a?"):
        build("tatoeba", tmp_path, tmp_path / odd, checksum=False)
        assert load("tatoeba", "test", "de", data_dir=tmp_path / odd)["source"][:] == ["Eule"]
    with pytest.raises(StiltsError, match="holds '::'.*Rename it"):
        build("tatoeba", tmp_path, tmp_path / "a::b", checksum=False)
    assert not [path for path in tmp_path.rglob("*.parquet") if "::" in str(path) or path.parent == tmp_path]
