"""How the card of a mirror's repository is read, what its revision depends on, and when progress bars show."""

import io
import json
import os
import time

import datasets
import pytest
from datasets import ClassLabel

from hf_stilts import progress
from hf_stilts.data import mirror, source
from hf_stilts.data.load import data_revision, load, present, splits
from hf_stilts.dataset_scripts import build
from hf_stilts.task import Task, load_task

TASK = Task(
    kind="text-classification", dataset="x/y", config="{language}", languages=("de", "fr"), labels=("no", "yes")
)
CONFIGS = """configs:
- config_name: de
  data_files:
  - split: train
    path: de/train*
  - split: test
    path: [de/test-0.jsonl, de/test-1.jsonl]
"""
ROWS = [{"text": "Eule", "label": 1}, {"text": "Maus", "label": 0}]
FILES = {"de/train.jsonl": ROWS, "de/test-0.jsonl": ROWS[:1], "de/test-1.jsonl": ROWS[1:]}


@pytest.fixture
def repository(tmp_path):
    """Write a repository: JSON lines from rows, other files from text; its folder."""

    def write(card=f"---\n{CONFIGS}---\n", /, **files):
        for name, content in {"README.md": card, **(files or FILES)}.items():
            path = tmp_path / "x/y" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
            path.write_text(text, encoding="utf-8")
        return tmp_path / "x/y"

    return write


def rows(split="train", task=TASK, language="de", *, root):
    found = load(task, split, language, data_dir=root)
    return list(zip(found["text"], found["label"], strict=True))


def test_only_the_wanted_split_is_read(repository, tmp_path):
    repository(**{**FILES, "de/train.jsonl": "no JSON at all"})
    assert rows("test", root=tmp_path) == [("Eule", 1), ("Maus", 0)]


def test_a_byte_order_mark_before_the_card_hides_nothing(repository, tmp_path):
    card = repository(f"\ufeff---\n{CONFIGS}---\n") / "README.md"
    assert rows("test", root=tmp_path) == [("Eule", 1), ("Maus", 0)]
    assert [each["config_name"] for each in mirror.read_card(card).data.to_dict()["configs"]] == ["de"]


def test_a_file_that_the_card_names_must_be_there(repository, tmp_path):
    # Half a split would give scores that look like those of the whole.
    (repository() / "de/test-1.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"does not hold configuration 'de': .*test-1.jsonl"):
        load(TASK, "test", "de", data_dir=tmp_path)


def test_a_split_without_files_is_not_there(repository, tmp_path):
    (repository() / "de/train.jsonl").unlink()
    assert splits(TASK, "de", tmp_path) == ("test",)


def test_a_file_that_comes_is_noticed(repository, tmp_path):
    repository()
    before, revision = rows(root=tmp_path), data_revision(TASK, "de", tmp_path)
    repository(**{"de/train-more.jsonl": [{"text": "Hund", "label": 0}]})
    assert sorted(rows(root=tmp_path)) == sorted([*before, ("Hund", 0)])
    assert data_revision(TASK, "de", tmp_path) != revision


FEATURES = """dataset_info:
- config_name: de
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': '{}'
          '1': '{}'
"""


def test_types_come_from_the_card_and_a_new_card_is_noticed(repository, tmp_path):
    # The files stay as they are, so their revision does, and yet 1 means something else under each card.
    repository(f"---\n{CONFIGS}{FEATURES.format('no', 'yes')}---\n")
    assert rows(root=tmp_path) == [("Eule", 1), ("Maus", 0)]
    repository(f"---\n{CONFIGS}{FEATURES.format('yes', 'no')}---\n")
    assert rows(root=tmp_path) == [("Eule", 0), ("Maus", 1)]
    assert load(TASK, "train", "de", data_dir=tmp_path).features["label"] == ClassLabel(names=["no", "yes"])


def test_the_card_says_how_to_read_the_files(repository, tmp_path):
    card = "---\nconfigs:\n- config_name: de\n  data_dir: sub\n  data_files: de.csv\n  sep: ';'\n  unknown: 1\n---\n"
    repository(card, **{"sub/de.csv": "text;label\nEule, gro\u00df;1\n"})
    assert rows(root=tmp_path) == [("Eule, gro\u00df", 1)]


@pytest.mark.parametrize("card", ["", "---\nlicense: mit\n---\n", "---\ndataset_info:\n  config_name: de\n---\n"])
def test_without_configurations_files_are_known_by_their_names(repository, tmp_path, card):
    repository(card, **{"data/test-0.jsonl": ROWS, "data/train-0.jsonl": ROWS[:1], "data/train-notes.txt": "notes"})
    task = Task(kind=TASK.kind, dataset="x/y", labels=TASK.labels, config="de" if "dataset_info" in card else None)
    assert splits(task, "en", tmp_path) == ("train", "test")
    assert rows(task=task, language="en", root=tmp_path) == [("Eule", 1)]


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nconfigs: [\n---\n", "YAML of its README.md cannot be understood"),
        ("---\njust words\n---\n", "YAML of its README.md cannot be understood"),
        ("---\nconfigs: words\n---\n", "to be a list"),
        ("---\nconfigs:\n- config_name: de\n  data_files: de/*.parquet\n---\n", "no file there matches de/"),
    ],
)
def test_a_card_that_cannot_be_read_says_why_and_what_to_type(repository, tmp_path, card, said):
    repository(card)
    with pytest.raises(FileNotFoundError, match=f"configuration 'de': .*{said}.*hf-stilts data prefetch"):
        load(TASK, "train", "de", data_dir=tmp_path)


def test_files_may_be_links_to_elsewhere(repository, tmp_path):
    folder = repository()
    revision, elsewhere = data_revision(TASK, "de", tmp_path), tmp_path / "blob"
    (folder / "de/train.jsonl").rename(elsewhere)
    (folder / "de/train.jsonl").symlink_to(elsewhere)
    assert rows(root=tmp_path) == [("Eule", 1), ("Maus", 0)]
    assert data_revision(TASK, "de", tmp_path) == revision


def test_a_sum_is_computed_once_while_the_file_lies_still(tmp_path, monkeypatch):
    file, summed = tmp_path / "file", []
    monkeypatch.setattr(mirror, "sha256", lambda path: summed.append(path) or path.read_text())
    file.write_text("one")
    for _ in range(2):
        mirror.digest(tmp_path, [file])
    assert len(summed) == 2, "it changed just now, and may change again within a tick of the clock"
    monkeypatch.setattr(mirror, "_SETTLED", 0)
    before, found = file.stat(), {mirror.digest(tmp_path, [file]) for _ in range(3)}
    assert (len(summed), len(found)) == (3, 1)
    time.sleep(0.05)  # longer than a tick: what _SETTLED allows for
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert mirror.digest(tmp_path, [file]) not in found, "its size and time are the same"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stderr", "size", "shown"),
    [(Terminal(), None, True), (Terminal(), 1 << 30, True), (Terminal(), 1000, False), (io.StringIO(), 1 << 30, False)],
)
@pytest.mark.parametrize("disabled", [False, True])
def test_bars_show_on_a_terminal_for_long_work_unless_the_caller_wants_none(monkeypatch, stderr, size, shown, disabled):
    monkeypatch.setattr("sys.stderr", stderr)
    (datasets.disable_progress_bars if disabled else datasets.enable_progress_bars)()
    try:
        with pytest.raises(KeyError), progress.progress_bars(size):
            assert datasets.are_progress_bars_disabled() == (disabled or not shown)
            raise KeyError
        assert datasets.are_progress_bars_disabled() == disabled
    finally:
        datasets.enable_progress_bars()


def test_building_and_loading_are_silent_where_nobody_looks(tmp_path, capfd):
    raw = tmp_path / "raw"
    raw.mkdir()
    for side, text in (("deu", "Eule\n"), ("eng", "owl\n")):
        (raw / f"tatoeba.deu-eng.{side}").write_text(text)
    build("tatoeba", raw, tmp_path / "out", checksum=False)
    assert len(load("tatoeba", "test", "de", data_dir=tmp_path / "out")) == 1
    assert capfd.readouterr() == ("", "")


def test_what_a_mirror_lacks_in_many_languages_has_its_converter_looked_up_once(tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(source, "load_task", lambda name: loaded.append(name) or load_task(name))
    source._converter_of.cache_clear()
    with pytest.raises(FileNotFoundError, match="hf-stilts data prefetch sib200"):
        present("sib200", "test", data_dir=tmp_path)
    assert loaded and len(loaded) == len(set(loaded)), "each task once, and not for each of 205 languages"
