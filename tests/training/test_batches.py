"""Batches in one language and across two: what a batch holds, at which share, and the same again after a resume."""

import pytest
import tiny
import torch
from datasets import Dataset
from dual_encoders import WORDS, trainer
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.task import Task
from hf_stilts.training.batches import LanguageBatches
from hf_stilts.training.dual_encoder import DualEncoderTrainer


def composed(examples, share, batch_size, seed=0):
    """Language n has the examples `examples[n]`; queries are [n, place], candidates [n + 100, place]."""
    pairs = [(code, place, str(each)) for code, has in enumerate(examples) for place, each in enumerate(has)]
    features = Dataset.from_list([{"input_ids": [[code, place], [code + 100, place]]} for code, place, _ in pairs])
    return LanguageBatches(
        features, [str(code) for code, _, _ in pairs], [each for _, _, each in pairs],
        share=share, batch_size=batch_size, seed=seed,
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(6, 25), min_size=2, max_size=3),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    batch_size=st.integers(1, 6),
    epoch=st.integers(0, 3),
)
def test_every_batch_is_of_one_pair_of_languages_and_holds_an_example_once(counts, share, batch_size, epoch):
    data = composed([range(count) for count in counts], share, batch_size)
    plan = data.plan(epoch)
    assert len(plan) == len(data) == max(counts)
    for start in range(0, len(plan), batch_size):
        batch = plan[start : start + batch_size]
        example, query, candidate = batch.T
        assert len(set(query)) == len(set(candidate)) == 1
        assert len(set(example)) == len(batch)
        assert max(example) < min(counts[query[0]], counts[candidate[0]])  # there in both languages
        if share != 0.5:
            assert (query[0] != candidate[0]) == bool(share)
    assert (plan == composed([range(count) for count in counts], share, batch_size).plan(epoch)).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_that_live_on_compose_every_epoch_anew(workers):
    data = composed([range(20), range(20)], 0.5, 4)
    settings = {"num_workers": workers, "persistent_workers": bool(workers), "collate_fn": list}
    loader = torch.utils.data.DataLoader(data, batch_size=4, **settings)
    for epoch in range(3):
        data.set_epoch(epoch)
        seen = [pair["input_ids"] for batch in loader for pair in batch]
        # Language n has the examples in their order: row and example are the same number.
        plan = data.plan(epoch).tolist()
        assert seen == [[[query, example], [candidate + 100, example]] for example, query, candidate in plan]


def test_pairs_are_read_from_both_languages():
    """Language 0 has the examples a b c, language 1 has c b a: row 0 of one translates row 2 of the other."""
    data = composed(["abc", "cba"], 1.0, 3)
    for place in range(3):
        (query, query_row), (candidate, candidate_row) = data[place]["input_ids"]
        assert {query, candidate - 100} == {0, 1} and query_row == 2 - candidate_row


def test_languages_are_drawn_by_their_number_of_pairs_and_kinds_by_the_share():
    """90 examples against 10: monolingual batches of the large language are drawn nine times as often."""
    data = composed([range(90), range(10)], 0.25, 1)
    plans = [data.plan(epoch) for epoch in range(60)]
    languages = torch.tensor([[query, candidate] for plan in plans for _, query, candidate in plan])
    crossed = languages[:, 0] != languages[:, 1]
    assert crossed.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert (languages[~crossed][:, 0] == 0).float().mean().item() == pytest.approx(0.9, abs=0.02)


def test_all_examples_come_before_any_comes_again():
    plan = composed([range(12), range(12)], 0.0, 3).plan(0)
    for language in (0, 1):
        seen = plan[plan[:, 1] == language][:, 0].tolist()
        assert len(set(seen)) == len(seen)


def test_what_cannot_be_composed_is_said():
    with pytest.raises(StiltsError, match="'a' is there twice in 0, last in row 1"):
        composed(["aab", "ab"], 0.5, 1)
    with pytest.raises(StiltsError, match="No cross-lingual batch of 2 pairs"):
        composed(["ab", "cd"], 0.5, 2)[0]


def parallel(count=12):
    texts = {"en": "where is the", "de": "wo ist der"}
    return Dataset.from_list(
        [
            {"id": str(n), "language": code, "query": f"{start} {WORDS[n]}", "candidate": f"{WORDS[n]} {code}"}
            for code, start in texts.items()
            for n in range(count)
        ]
    )


def test_a_resumed_run_sees_the_pairs_of_an_uninterrupted_one(tmp_path):
    """Three batches a pass, six steps, stopped after five, in the middle of the second pass."""
    public = tiny.save(tmp_path / "public")
    whole = trainer(tmp_path / "whole", public, parallel(), batches="hybrid")
    whole.get_train_dataloader()  # which knows how many examples run at the same time
    assert whole.train_dataset.batch_size == 4
    assert whole.record().languages == ("de", "en") and whole.record().recipe["cross_lingual_share"] == 0.5
    whole.train()
    trainer(tmp_path / "cut", public, parallel(), batches="hybrid", save_strategy="steps", save_steps=5).train()
    resumed = trainer(tmp_path / "cut", public, parallel(), batches="hybrid")
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-5"))
    assert resumed.train_dataset._epoch == 1
    for (name, one), other in zip(whole.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_rows_without_a_language_cannot_be_batched_by_it(tmp_path):
    with pytest.raises(StiltsError, match="need rows with a column language"):
        trainer(
            tmp_path / "run", tiny.save(tmp_path / "public"), parallel().remove_columns("language"), batches="hybrid"
        )


def test_the_rows_of_the_languages_come_from_the_task(tmp_path):
    """A task with two languages: all rows of both are there, and the record names them."""
    task = Task(
        kind="sentence-similarity", dataset="org/pairs", config="{language}", languages=("en", "de"), metric="mrr@20",
        name="pairs",
    )  # fmt: skip
    card = ["---", "configs:"]
    for code in task.languages:
        path = tmp_path / "mirror" / "org" / "pairs" / code / "train-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        parallel().filter(lambda row, code=code: row["language"] == code).remove_columns("language").to_parquet(path)
        card += [f"- config_name: {code}", "  data_files:", "  - split: train", f"    path: {code}/train-*"]
    (tmp_path / "mirror" / "org" / "pairs" / "README.md").write_text("\n".join([*card, "---", ""]))
    run = DualEncoderTrainer(
        tiny.save(tmp_path / "public"), TrainingArguments(str(tmp_path / "run"), use_cpu=True), task=task,
        eval_dataset=parallel(), languages="en,de", batches="cross-lingual", data_dir=tmp_path / "mirror",
    )  # fmt: skip
    assert len(run.train_rows) == 24 and len(run.train_dataset) == 12
    record = run.record()
    assert record.languages == ("de", "en") and {each.dataset for each in record.tasks} == {"org/pairs"}
