"""A row without an id of its own is known by its place among the stored ones, whatever is dropped or shuffled."""

from dataclasses import replace

import pytest
import tiny
from datasets import Column
from language_rows import PAIRS, pair, store
from tiny_translators import Words

from hf_stilts.augmentation.translate import translate
from hf_stilts.data.derived import row_keys
from hf_stilts.data.exclusion import Excluded, Exclusion
from hf_stilts.data.language_mix import mix_languages
from hf_stilts.data.load import data_revision, load
from hf_stilts.errors import StiltsError
from hf_stilts.kinds import load_kind
from hf_stilts.training.contrastive import IDS, ContrastiveLoss
from hf_stilts.training.provenance import languages_of, training_rows

JOINED = replace(PAIRS, splits={"train": "r1+r2"}, dataset="x/joined", name="joined")


@pytest.fixture
def root(tmp_path):
    rows = {code: {"train": [pair(n, code) for n in range(10)]} for code in PAIRS.languages}
    return store(tmp_path, PAIRS, rows)


def number(text):
    return text.rpartition(" ")[2]


def excluding(path, task, root, *keys):
    revision = data_revision(task, "en", root)
    return Exclusion(task.name, "train", "a test", {"en": Excluded(revision, frozenset(keys))}).save(path)


def test_a_row_is_known_by_its_place(root):
    for rows in (load(PAIRS, data_dir=root), load(PAIRS, limit=4, data_dir=root)):
        assert [number(row["text"]) for row in rows] == rows["id"][:]
    dropping = replace(PAIRS, prepare=lambda row: row if row["label"] else None)
    for limit in (None, 2):
        assert load(dropping, limit=limit, data_dir=root)["id"][:2] == ["1", "3"]


def test_a_list_that_an_editor_saved_with_a_byte_order_mark_is_read(root, tmp_path):
    path = excluding(tmp_path / "list.json", PAIRS, root, "0", "1", "2")
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert load(PAIRS, data_dir=root, exclude=path)["id"][0] == "3"


def test_joined_splits_keep_their_numbers_whatever_the_limit(root, tmp_path):
    both = {"r1": [pair(n) for n in range(8)], "r2": [pair(n) for n in range(8)]}
    store(root, JOINED, {"en": both})
    assert load(JOINED, data_dir=root)["id"][:] == [f"r{part}-{n}" for part in (1, 2) for n in range(8)]
    assert load(JOINED, limit=4, data_dir=root)["id"][:] == ["r1-0", "r1-1", "r2-0", "r2-1"]
    translate(JOINED, ["de"], Words(), root, data_dir=root, limit=8)
    left_out = excluding(tmp_path / "list.json", JOINED, root, "r2-0", "r2-1")
    kept = load(JOINED, language="de", data_dir=root, exclude=left_out)["id"][:]
    assert kept == ["r1-0", "r1-1", "r1-2", "r1-3", "r2-2", "r2-3"]


def test_what_was_left_out_before_a_translation_takes_no_others_with_it(root, tmp_path):
    left_out = excluding(tmp_path / "list.json", PAIRS, root, "0", "1", "2")
    translate(PAIRS, ["de"], Words(), root, data_dir=root, exclude=left_out)
    for rows in (
        load(PAIRS, language="de", data_dir=root),
        load(PAIRS, language="de", data_dir=root, exclude=left_out),
    ):
        assert rows["id"][:] == [str(n) for n in range(3, 10)]
    mixed = mix_languages(PAIRS, "en,de", 6, data_dir=root, exclude=left_out)
    assert len({*mixed["id"]}) == 6, "of translations each example is taken in one language"


@pytest.mark.parametrize("excluded", [(), ("0", "4")])
@pytest.mark.parametrize("languages", [None, "en"])
def test_the_contrastive_loss_pairs_rows_with_their_own_translations(languages, excluded, root, tmp_path):
    left_out = excluding(tmp_path / "list.json", PAIRS, root, *excluded) if excluded else None
    rows = training_rows(PAIRS, languages, data_dir=root, exclude=left_out)
    tokenizer, kind = tiny.tokenizer("bert"), load_kind("text-classification")
    features = kind.features(PAIRS, rows, tokenizer, max_length=32, train=True)
    paired = ContrastiveLoss("sw").features(kind, PAIRS, features, rows, tokenizer, max_length=32, data_dir=root)
    other = load(PAIRS, language="sw", data_dir=root)
    tokens = kind.features(PAIRS, other, tokenizer, max_length=32, train=False)["input_ids"][:]
    assert len(rows) == 10 - len(excluded)
    assert len({*map(tuple, tokens)}) == 10, "no two rows have the same tokens"
    assert paired[IDS][:] == [tokens[int(rows["id"][row])] for row in paired["row"]]


def test_splits_that_were_made_before_stay(root):
    store(root, PAIRS, {"en": {"train": [pair(1)], "validation": [pair(2)]}})
    translate(PAIRS, ["de"], Words(), root, data_dir=root)
    translate(PAIRS, ["de"], Words(), root, data_dir=root, splits=["validation"])
    assert load(PAIRS, language="de", data_dir=root)["text"][:] == ["En one 1"]
    assert load(PAIRS, "validation", "de", data_dir=root)["text"][:] == ["En one 2"]
    translate(PAIRS, ["de"], Words(), root, data_dir=root)
    assert len(load(PAIRS, "validation", "de", data_dir=root)) == 1
    with pytest.raises(StiltsError, match="holds validation, made otherwise .*--splits validation,train"):
        translate(PAIRS, ["de"], Words("others"), root, data_dir=root)
    translate(PAIRS, ["de"], Words("others"), root, data_dir=root, splits=["train", "validation"])


def test_columns_are_read_at_once(root, monkeypatch):
    def row_by_row(column):
        raise AssertionError("A column was gone through row by row, which takes minutes for a large task.")

    monkeypatch.setattr(Column, "__iter__", row_by_row)
    mixed = training_rows(PAIRS, "en,sw-x-nz50-case-0", limit=6, data_dir=root)
    assert languages_of(mixed) == {"en": 3, "sw-x-nz50-case-0": 3}
    assert len(set(row_keys(mixed))) == 6
