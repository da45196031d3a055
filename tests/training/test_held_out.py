"""A task without a validation split can be trained: a share of its train rows, chosen by id, is evaluated on."""

from dataclasses import replace

import pytest
from datasets import Dataset, concatenate_datasets

from hf_stilts.data.check import check
from hf_stilts.data.load import load
from hf_stilts.errors import StiltsError
from hf_stilts.task import Task
from hf_stilts.training.provenance import training_rows, with_validation

OWN = Task(kind="text-classification", dataset="x/own", config="{language}", labels=("no", "yes"), name="own",
           languages=("en", "de"))  # fmt: skip


def write(root, count=1000, **more):
    folder = root / "x" / "own"
    card = ["---", "configs:"]
    for language in ("en", "de"):
        rows = [{"id": f"n{n}", "text": f"{language} {n}", "label": n % 2} for n in range(count)]
        (folder / language).mkdir(parents=True)
        card += [f"- config_name: {language}", "  data_files:"]
        for split, part in ({"train": rows} | more).items():
            Dataset.from_list(part).to_parquet(folder / language / f"{split}.parquet")
            card += [f"  - split: {split}", f"    path: {language}/{split}.parquet"]
    (folder / "README.md").write_text("\n".join([*card, "---", ""]))
    return root


def parts(root, task=OWN, *, languages=None, judged=None, limit=None):
    rows = training_rows(task, languages, limit=limit, data_dir=root)
    return with_validation(task, rows, judged=judged, limit=limit, data_dir=root)


def test_every_row_is_trained_on_or_evaluated_on(tmp_path, caplog):
    train, dev, said = parts(write(tmp_path))
    assert sorted(train["id"][:] + dev["id"][:]) == sorted(f"n{number}" for number in range(1000))
    assert 30 <= len(dev) <= 70, "one in twenty, as the hashes fall"
    assert said == f"{len(dev)} rows held out of the English train split, by id"
    assert f"own has no validation split: {len(dev)} of its 1000 training rows" in caplog.text
    assert parts(tmp_path)[1]["id"][:] == dev["id"][:]
    assert parts(tmp_path, judged=3)[1]["id"][:] == dev["id"][:3], "the others are not trained on all the same"
    assert len(parts(tmp_path, judged=3)[0]) == len(train)


def test_no_translation_of_what_is_evaluated_on_is_trained_on(tmp_path):
    train, dev, _ = parts(write(tmp_path), languages={"en": 0.5, "de": 0.5})
    assert set(train["language"][:]) == {"en", "de"}
    assert not set(train["id"][:]) & set(dev["id"][:])
    assert all(text.startswith("en ") for text in dev["text"])
    assert len({*train["id"][:], *dev["id"][:]}) == 1000


def test_the_share_is_the_tasks(tmp_path):
    write(tmp_path)
    assert 440 <= len(parts(tmp_path, replace(OWN, held_out=0.5))[1]) <= 560
    with pytest.raises(StiltsError, match="no split 'validation'.*held_out=0.05 in the file of own"):
        parts(tmp_path, replace(OWN, held_out=0))
    with pytest.raises(StiltsError, match="held_out=1; expected a share"):
        replace(OWN, held_out=1)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_of_few_rows_one_is_held_out(count, tmp_path):
    write(tmp_path, count)
    if count == 1:
        with pytest.raises(StiltsError, match="1 training rows and no validation split"):
            parts(tmp_path)
        return
    train, dev, _ = parts(tmp_path, replace(OWN, held_out=0.001))
    assert (len(train), len(dev)) == (count - 1, 1)


def test_a_limit_counts_before(tmp_path):
    train, dev, _ = parts(write(tmp_path), limit=100)
    assert sorted(train["id"][:] + dev["id"][:]) == sorted(f"n{number}" for number in range(100))


def test_a_validation_split_is_evaluated_on_and_nothing_held_out(tmp_path, caplog):
    write(tmp_path, validation=[{"id": "v", "text": "a", "label": 0}])
    train, dev, said = parts(tmp_path)
    assert (len(train), dev["id"][:], said) == (1000, ["v"], "1 rows of the English validation split")
    assert not caplog.text
    assert "held" not in str(check(OWN, data_dir=tmp_path))


def test_rows_of_the_caller_are_held_out_by_their_ids(tmp_path):
    write(tmp_path)
    rows = load(OWN, "train", "en", data_dir=tmp_path)
    twice = concatenate_datasets([rows, rows])
    train, dev, _ = with_validation(OWN, twice, judged=None, limit=None, data_dir=tmp_path)
    assert not set(train["id"][:]) & set(dev["id"][:])
    with pytest.raises(StiltsError, match="no split 'validation'"):
        with_validation(OWN, rows.remove_columns("id"), judged=None, limit=None, data_dir=tmp_path)


def test_data_check_says_so(tmp_path):
    report = check(OWN, data_dir=write(tmp_path))
    assert report.ok
    assert "no validation split: training holds out 5 % of the train rows" in str(report)
