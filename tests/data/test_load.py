"""Rows of a task from a mirror: canonical columns, labels by name, no stale caches, errors that say what to type."""

import gzip
import importlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st
from repositories import NLI, PAIR, Repository, nli, rows_of

from hf_stilts.data.canonical import canonical
from hf_stilts.data.check import check
from hf_stilts.data.load import data_revision, load, splits
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task, load_task


@pytest.fixture
def mirror(tmp_path):
    return Repository(tmp_path / "mirror")


def test_columns_are_renamed_and_others_dropped(mirror):
    features = Features({**PAIR, "label": ClassLabel(names=list(NLI)), "idx": Value("int32")})
    rows = [{**row, "idx": 7} for row in rows_of(2, 0)]
    root = mirror.add("nyu-mll/glue", "mnli", {"train": rows, "validation_matched": rows[:1]}, features)
    train = load("mnli", data_dir=root)
    assert train[0] == {"id": "0", "text": "p0", "text_pair": "h0", "label": 2}
    assert train.features["label"] == ClassLabel(names=list(NLI))
    assert len(load("mnli", "validation", data_dir=root)) == 1  # stored under another name


@pytest.mark.parametrize("limit", [None, 10])
@pytest.mark.parametrize(
    ("stored", "labels"),
    [
        (ClassLabel(names=["contradiction", "entailment", "neutral"]), [0, 1, 2, -1]),
        (Value("string"), ["contradictory", "entailment", "1", "-1"]),
        (Value("int64"), [2, 0, 1, -1]),
    ],
)
def test_labels_are_matched_by_name(mirror, stored, labels, limit):
    task = nli(aliases={"contradictory": "contradiction"})
    root = mirror.add("x/nli", "all", {"train": rows_of(*labels)}, Features({**PAIR, "label": stored}))
    assert load(task, data_dir=root, limit=limit)["label"][:] == [2, 0, 1, -1]


@settings(deadline=None)
@given(order=st.permutations(NLI), names=st.lists(st.sampled_from(NLI), min_size=1, max_size=5))
def test_any_order_of_class_names_gives_the_same_ids(order, names):
    features = Features({**PAIR, "label": ClassLabel(names=list(order))})
    rows = Dataset.from_list(rows_of(*(order.index(name) for name in names)), features=features)
    streamed = canonical(rows.to_iterable_dataset(), nli(), limit=5)
    assert streamed["label"][:] == [NLI.index(name) for name in names]


def test_tags_are_matched_by_name_too(mirror):
    tags = ["X", "NOUN", "VERB"]  # universal_dependencies has another order than google/xtreme
    features = Features({"tokens": List(Value("string")), "pos_tags": List(ClassLabel(names=tags))})
    rows = [{"tokens": ["see", "dogs", "qua"], "pos_tags": [2, 1, 0]}]
    root = mirror.add("google/xtreme", "udpos.German", {"test": rows}, features)
    found = load("udpos", "test", "de", data_dir=root)
    names = load_task("udpos").labels
    assert [names[tag] for tag in found[0]["tags"]] == ["VERB", "NOUN", "X"]
    assert found.features["tags"] == List(ClassLabel(names=list(names)))


@pytest.mark.parametrize("limit", [None, 1])
def test_ids_stay_where_the_task_names_no_labels(limit):
    # super_glue's COPA calls its classes choice1 and choice2; a choice is known by its position.
    features = Features(
        {"premise": Value("string"), "a": Value("string"), "label": ClassLabel(names=["choice1", "choice2"])}
    )
    rows = Dataset.from_list([{"premise": "p", "a": "x", "label": 1}], features=features)
    for choices in (("a", "a"), "a"):  # a list made here; and one that only needs another name
        task = Task(kind="multiple-choice", dataset="x/y", columns={"context": "premise", "choices": choices})
        if choices == "a":
            rows = rows.map(lambda row: {"a": [row["a"]] * 2}, remove_columns=["a"])
        found = canonical(rows, task, limit=limit)[0]
        assert found == {"id": "0", "context": "p", "choices": ["x", "x"], "label": 1}


def test_columns_may_be_gathered_and_swapped():
    columns = {"context": "question", "question": "context", "choices": ("b", "a"), "label": "label"}
    task = Task(kind="multiple-choice", dataset="x/y", columns=columns)
    stored = [{"question": "q", "context": "c", "a": "first", "b": "second", "label": 1}]
    expected = {"id": "0", "context": "q", "question": "c", "choices": ["second", "first"], "label": 1}
    assert canonical(Dataset.from_list(stored), task)[0] == expected


def test_a_mapped_column_does_not_stand_for_itself_as_well():
    # CommonsenseQA's `question` is the context; a second copy as `question` would ask the same thing twice.
    task = Task(kind="multiple-choice", dataset="x/y", columns={"context": "question"})
    rows = canonical(Dataset.from_list([{"question": "q", "choices": ["a"], "label": 0}]), task)
    assert rows.column_names == ["id", "context", "choices", "label"]


def keep_german(row):
    assert row["label"] in NLI, "prepare sees the class's name"
    return {**row, "more": 1} if row["language"] == "de" else None


def test_prepare_sees_other_columns_and_drops_rows_before_the_limit_counts(mirror):
    features = Features(
        {**PAIR, "label": ClassLabel(names=list(NLI)), "language": Value("string"), "id": Value("int64")}
    )
    languages = ["en", "de", "en", "de", "de"]
    rows = [
        {**row, "language": each, "id": n}
        for n, (row, each) in enumerate(zip(rows_of(0, 1, 2, 0, 1), languages, strict=True))
    ]
    root = mirror.add("x/nli", "all", {"train": rows}, features)
    task = nli(prepare=keep_german)
    found = load(task, data_dir=root)
    assert found["id"][:] == ["1", "3", "4"]  # ids are strings everywhere
    assert sorted(found.column_names) == ["id", "label", "text", "text_pair"]
    assert load(task, data_dir=root, limit=2)["id"][:] == ["1", "3"]


def test_no_row_left_is_an_error(mirror):
    root = mirror.add("x/nli", "all", {"train": rows_of(0)})
    with pytest.raises(StiltsError, match="no row left"):
        load(nli(prepare=lambda row: None), data_dir=root)


def test_unanswerable_questions_keep_their_type():
    empty = {"id": "1", "question": "q", "context": "c", "answers": {"text": [], "answer_start": []}}
    task = Task(kind="question-answering", dataset="x/y", prepare=dict)
    rows = canonical(Dataset.from_list([empty]), task, limit=1)
    assert rows.features["answers"] == {"text": List(Value("string")), "answer_start": List(Value("int32"))}


def test_an_edited_file_is_noticed_even_with_its_old_time_and_size(mirror):
    root = mirror.add("x/nli", "all", {"train": rows_of(0, 1)})
    file = next(root.rglob("train-*.parquet"))
    before, revision = file.stat(), data_revision(nli(), data_dir=root)
    assert load(nli(), data_dir=root)["label"][:] == [0, 1]
    mirror.add("x/nli", "all", {"train": rows_of(1, 2)})
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert load(nli(), data_dir=root)["label"][:] == [1, 2]
    assert data_revision(nli(), data_dir=root) != revision


def test_two_mirrors_do_not_share_a_cache_but_a_copy_has_the_same_revision(tmp_path):
    one = Repository(tmp_path / "one").add("x/nli", "all", {"train": rows_of(0)})
    two = Repository(tmp_path / "two").add("x/nli", "all", {"train": rows_of(1, 1)})
    assert [len(load(nli(), data_dir=each)) for each in (one, two, one)] == [1, 2, 1]
    revision = data_revision(nli(), data_dir=one)
    assert revision.startswith("mirror:") and len(revision) == len("mirror:") + 12
    assert data_revision(nli(), data_dir=shutil.copytree(one, tmp_path / "copy")) == revision


def test_an_edited_prepare_is_noticed(mirror, tmp_path, monkeypatch):
    # From an importable module, as an installed package's task is: `datasets` hashes such a function by its name alone.
    root = mirror.add("x/nli", "all", {"train": rows_of(0)})
    monkeypatch.syspath_prepend(tmp_path)
    for mark in ("first", "second"):
        (tmp_path / "marking.py").write_text(f"def mark(row): return {{**row, 'text': {mark!r}}}\n")
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)  # its key is the second in which the file changed
        monkeypatch.delitem(sys.modules, "marking", raising=False)
        importlib.invalidate_caches()
        prepare = importlib.import_module("marking").mark
        assert load(nli(prepare=prepare), data_dir=root)["text"][:] == [mark]


OWN = """
from hf_stilts import Task

def tell(row):
    return {**row, "text": row["premisse"]}

TASK = Task(kind="text-classification", dataset="me/own", labels=("yes", "no"), prepare=tell)
"""


def test_an_error_in_prepare_names_row_columns_and_line(mirror, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    root = mirror.add("me/own", "all", {"train": [{"text": "a", "label": "yes"}]})
    with pytest.raises(StiltsError, match=r"Row 0 .*tell .*KeyError: 'premisse'.*text, label.*own.py, line 5: return"):
        load(str(tmp_path / "own.py"), data_dir=root)


def test_a_task_of_a_file_is_named_as_it_was_typed(mirror, tmp_path):
    path = str(tmp_path / "my tasks" / "own.py")
    Path(path).parent.mkdir()
    Path(path).write_text(OWN.replace(", prepare=tell", ""))
    mirror.add("me/other", "all", {"train": [{"text": "a", "label": "yes"}]})
    with pytest.raises(FileNotFoundError, match=f"hf-stilts data prefetch '{path}'"):
        load(path, data_dir=mirror.root)
    mirror.add("me/own", "all", {"train": [{"text": "a", "label": "perhaps"}]})
    with pytest.raises(StiltsError, match=f"'perhaps'.*aliases= in {path}"):
        load(path, data_dir=mirror.root)


def test_a_limit_reads_no_further_than_it_must(mirror):
    root = mirror.add("x/nli", "all", {"train": rows_of(0, 1, 2)})
    (root / "x/nli/all/train-00001-of-00001.parquet").write_bytes(b"not Parquet at all")
    assert len(load(nli(), data_dir=root, limit=3)) == 3
    with pytest.raises(StiltsError, match="cannot be read: .*Parquet.*Get them again"):
        load(nli(), data_dir=root)


@pytest.mark.parametrize(
    ("limit", "said"),
    [(None, "'tokens': Value.*Expected: .*'tokens': List"), (1, "Row 0 .* tokens = 'a b'; expected List")],
)
def test_a_column_of_another_type_is_named(mirror, limit, said):
    names = list(load_task("udpos").labels)
    features = Features({"tokens": Value("string"), "pos_tags": List(ClassLabel(names=names))})
    root = mirror.add("google/xtreme", "udpos.German", {"test": [{"tokens": "a b", "pos_tags": [0, 1]}]}, features)
    with pytest.raises(StiltsError, match=said):
        load("udpos", "test", "de", data_dir=root, limit=limit)


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("text-classification", {"text": "an owl", "label": "animal"}),
        ("token-classification", {"tokens": ["an", "owl"], "label": ["O", "animal"]}),
    ],
)
def test_labels_that_are_text_ask_for_their_names(mirror, limit, kind, row):
    columns = {"tags": "label"} if kind == "token-classification" else {}
    root = mirror.add("me/animals", "default", {"train": [row]})
    with pytest.raises(StiltsError, match=r"no labels= and its column 'label' holds text.*labels=\(\.\.\.\)"):
        load(Task(kind=kind, dataset="me/animals", columns=columns, name="animals"), data_dir=root, limit=limit)


def test_json_lines_serve_as_well_as_parquet(mirror):
    root = mirror.add("mteb/tatoeba-bitext-mining", "deu-eng", {"test": [{"x": 1}]})
    next(root.rglob("*.parquet")).unlink()
    with gzip.open(root / "mteb/tatoeba-bitext-mining/deu-eng/test-0.jsonl.gz", "wt") as file:
        file.write(json.dumps({"sentence1": "Hund", "sentence2": "dog", "lang": "deu-eng"}) + "\n")
    for limit in (None, 1):
        found = load("tatoeba", "test", "de", data_dir=root, limit=limit)[0]
        assert found == {"id": "0", "source": "Hund", "target": "dog"}


def test_where_the_mirror_is(mirror, monkeypatch, tmp_path):
    root = mirror.add("x/nli", "all", {"train": rows_of(0)})
    monkeypatch.setenv("HF_STILTS_DATA", str(root))
    assert len(load(nli())) == 1
    with pytest.raises(FileNotFoundError, match="elsewhere"):  # the argument goes first, and nothing falls back
        load(nli(), data_dir=tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (("xquad", "test", "de"), FileNotFoundError, "hf-stilts data build xquad --raw DIR --out DIR"),
        (("xquad", "test", "de"), FileNotFoundError, "hf-stilts data prefetch xquad --out DIR"),
        (("squad_v1", "train", "en"), FileNotFoundError, "data prefetch squad_v1"),
        (("tatoeba", "test", "fr"), FileNotFoundError, r"configuration 'fra-eng'.*the card names deu-eng"),
        (("tatoeba", "test", "en"), StiltsError, "no language 'en'.*af, ar"),
        (("tatoeba", "train", "de"), StiltsError, "no split 'train'.*there: test"),
    ],
)
def test_what_is_not_there_says_what_to_type(mirror, call, error, said):
    root = mirror.add("mteb/tatoeba-bitext-mining", "deu-eng", {"test": [{"sentence1": "a", "sentence2": "b"}]})
    with pytest.raises(error, match=said):
        load(*call, data_dir=root)


@pytest.mark.parametrize("dataset", ["me/animals", "animals"])
def test_files_without_a_card_ask_for_it(tmp_path, dataset):
    task = Task(kind="text-classification", dataset=dataset, labels=("animal",), name="animals")
    folder = tmp_path / dataset
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text(json.dumps({"text": "an owl", "label": "animal"}) + "\n")
    with pytest.raises(FileNotFoundError, match=f"files and no README.md.*write {folder / 'README.md'}"):
        load(task, data_dir=tmp_path)
    (folder / "README.md").touch()
    assert load(task, data_dir=tmp_path)[0] == {"id": "0", "text": "an owl", "label": 0}


def test_rows_that_no_converter_makes_say_where_to_put_them(monkeypatch):
    monkeypatch.delenv("HF_STILTS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"DIR/animals.*dataset_scripts/animals\.py.*--data-dir DIR"):
        load(Task(kind="text-classification", dataset="animals", name="animals"))


@pytest.mark.parametrize("train", [(), ("squad_v1",)])
def test_a_target_without_training_rows_is_told_how_to_get_them(mirror, train):
    row = {"id": "1", "question": "q", "context": "owl", "answers": {"text": ["owl"], "answer_start": [0]}}
    root = mirror.add("me/questions", "default", {"validation": [row], "test": [row]})
    task = Task(kind="question-answering", dataset="me/questions", metric="f1", train=train, name="questions")
    report = check(task, data_dir=root)
    assert report.ok and report.untrained == (not train)
    assert ('train=("TASK",) in the file of questions' in str(report)) == (not train)
    with pytest.raises(StiltsError, match="are those of squad_v1" if train else r'train=\("TASK",\) in the file of'):
        load(task, data_dir=root)


def test_of_a_split_that_failed_nothing_is_concluded(mirror):
    """A fault in the train split ends the look at its language: whether there is a validation split is not known."""
    splits = {"train": [{"text": "an owl", "label": "bird"}], "validation": [{"text": "a cat", "label": "animal"}]}
    task = Task(kind="text-classification", dataset="me/animals", labels=("animal",), name="animals")
    report = check(task, data_dir=mirror.add("me/animals", "default", splits))
    assert not report.ok and report.held_out == 0 and "validation" not in str(report)


def test_a_test_set_names_the_tasks_that_train_it(mirror):
    root = mirror.add("google/xquad", "xquad.en", {"validation": [{"id": "1"}]})
    with pytest.raises(StiltsError, match="rows are those of squad_v1"):
        load("xquad", "train", "en", data_dir=root)
    assert splits("xquad", "en", data_dir=root) == ("validation", "test")


def test_a_missing_column_lists_those_that_are_there(mirror):
    root = mirror.add("x/nli", "all", {"train": [{"sentence1": "p", "hypothesis": "h", "label": 0}]})
    with pytest.raises(StiltsError, match="column 'premise'.*has: sentence1, hypothesis, label.*columns="):
        load(nli(), data_dir=root)
    with pytest.raises(StiltsError, match="no column 'text'.*There are: sentence1, hypothesis, label"):
        load(nli(columns={}), data_dir=root)
    with pytest.raises(StiltsError, match="no column 'label'"):
        load(nli(columns={"text": "sentence1"}, prepare=lambda row: {"text": row["text"]}), data_dir=root)


@pytest.mark.parametrize("limit", [None, 5])
def test_an_unknown_label_names_its_row(mirror, limit):
    root = mirror.add("x/nli", "all", {"train": rows_of("neutral", "perhaps")})
    with pytest.raises(StiltsError, match="Row 1 .*'perhaps'.*entailment, neutral, contradiction"):
        load(nli(), data_dir=root, limit=limit)


def test_a_limit_of_nothing_is_refused(mirror):
    with pytest.raises(StiltsError, match="limit=0"):
        load(nli(), limit=0, data_dir=mirror.root)


def test_bucc_gold_becomes_ids(mirror):
    root = mirror.add("mteb/BUCC", "de-en", {"test": [{"sentence1": ["a", "b"], "sentence2": ["x"], "gold": [[2, 1]]}]})
    row = load("bucc2018", "test", "de", data_dir=root)[0]
    assert (row["source_ids"], row["target_ids"], row["gold"]) == (["1", "2"], ["1"], [["2", "1"]])
    assert check("bucc2018", ["de"], data_dir=root).ok


@pytest.mark.parametrize(
    ("task", "config", "row", "fault"),
    [
        ("udpos", "udpos.German", {"tokens": ["a", "b"], "pos_tags": [0]}, "2 tokens with 1 tags"),
        ("udpos", "udpos.German", {"tokens": ["a"], "pos_tags": [17]}, "label 17"),
        ("tatoeba", "deu-eng", {"sentence1": None, "sentence2": "x"}, "source is missing; expected text"),
        (
            "xquad",
            "xquad.de",
            {"id": "1", "question": "q", "context": "an owl", "answers": {"text": ["owl"], "answer_start": [2]}},
            "offset 2 the context says ' ow'; expected the answer 'owl'",
        ),
        (
            "bucc2018",
            "de-en",
            {"sentence1": ["a"], "sentence2": ["x"], "gold": [[1, 1]], "source_ids": ["1", "1"]},
            "ids",
        ),
    ],
)
def test_check_finds_faults(mirror, task, config, row, fault):
    split = "validation" if task == "xquad" else "test"
    report = check(task, ["de"], data_dir=mirror.add(load_task(task).dataset, config, {split: [row]}))
    assert not report.ok
    assert fault in report.rows()[0]["fault"]


def test_check_reports_a_language_that_is_not_there(mirror):
    row = {"sentence1": "a", "sentence2": "b"}
    root = mirror.add("mteb/tatoeba-bitext-mining", "deu-eng", {"test": [row] * 10})
    report = check("tatoeba", ["de", "fr"], data_dir=root)
    assert [(each.language, each.split, each.rows, bool(each.fault)) for each in report.checked] == [
        ("de", "test", 8, False),
        ("fr", "", 0, True),
    ]


def test_a_loading_script_on_the_hub_is_not_to_be_prefetched(monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError("Dataset scripts are no longer supported, but found masakhaner2.py")

    monkeypatch.delenv("HF_STILTS_DATA", raising=False)
    monkeypatch.setattr("datasets.load_dataset_builder", refuse)
    with pytest.raises(StiltsError, match="is a loading script.*Run: hf-stilts data build masakhaner2 --raw") as error:
        load("masakhaner2", "test", "ha")
    assert "prefetch" not in str(error.value)
