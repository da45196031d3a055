"""Masked language modelling: which tokens are masked, when, and what is counted."""

import math
from dataclasses import replace

import kind_cases
import pytest
import tiny
import torch
from datasets import Dataset
from transformers import AutoModelForMaskedLM

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import load_kind
from hf_stilts.kinds.masked_positions import score_masked_positions_only

FILL = load_kind("fill-mask")
MLM = kind_cases.TASKS["fill-mask"]
SENTENCES = Dataset.from_dict({"text": ["the old doctor reads the big red book in the city by the river"] * 200})


def features_of(rows, train=False, kind=FILL, arch="bert", max_length=32):
    return kind.features(MLM, rows, tiny.tokenizer(arch), max_length=max_length, train=train)


def test_evaluation_asks_the_same_rows_for_the_same_tokens():
    first, again = features_of(SENTENCES)[:], features_of(SENTENCES)[:]
    assert first == again
    assert features_of(SENTENCES.select(range(3)))["input_ids"][:] == first["input_ids"][:3]
    assert features_of(SENTENCES, kind=replace(FILL, seed=1))["input_ids"][:] != first["input_ids"]
    assert len({tuple(labels) for labels in first["labels"]}) > 50  # equal sentences, yet each row has its own masks


def test_training_masks_anew_in_every_batch_with_the_random_numbers_of_torch():
    tokenizer, features = tiny.tokenizer("bert"), features_of(SENTENCES, train=True)
    assert "labels" not in features.column_names
    collate = FILL.collator(tokenizer)
    rows = [features[place] for place in range(8)]
    torch.manual_seed(0)
    first, second = collate(rows), collate(rows)
    torch.manual_seed(0)
    again = collate(rows)
    assert torch.equal(first["input_ids"], again["input_ids"])
    assert not torch.equal(first["labels"], second["labels"])


@pytest.mark.parametrize("train", [True, False])
def test_fifteen_percent_in_eighty_ten_ten(train):
    tokenizer, kind = tiny.tokenizer("bert"), FILL
    plain = tokenizer(SENTENCES[0]["text"])["input_ids"]
    features = features_of(SENTENCES, train=train)
    torch.manual_seed(0)
    batch = kind.collator(tokenizer)([features[place] for place in range(len(features))])
    asked = batch["labels"] != -100
    truth = torch.tensor([plain] * len(features))
    assert torch.equal(batch["labels"][asked], truth[asked])
    assert torch.equal(batch["input_ids"][~asked], truth[~asked])
    assert not asked[:, [0, -1]].any(), "[CLS] and [SEP] are never masked"
    # 200 rows of 14 words: 2,800 tokens, 420 expected, deviation 19; redrawing where none was drawn adds a tenth.
    assert 340 < asked.sum() < 540
    shown = batch["input_ids"][asked]
    masked = (shown == tokenizer.mask_token_id).float().mean()
    kept = (shown == truth[asked]).float().mean()
    assert 0.72 < masked < 0.88 and 0.05 < kept < 0.16 and 1 - masked - kept > 0.05


def test_no_batch_is_without_a_masked_token():
    rows = Dataset.from_dict(
        {"text": ["cat"] * 40}
    )  # one token each: 85 % would have no mask, and a loss that is not a number
    tokenizer = tiny.tokenizer("bert")
    assert all(max(labels) >= 0 for labels in features_of(rows)["labels"])
    collate, feature = FILL.collator(tokenizer), features_of(rows, train=True)[0]
    assert all((collate([feature])["labels"] >= 0).any() for _ in range(20))


def test_long_texts_are_cut_into_windows_and_empty_ones_give_none():
    rows = Dataset.from_dict({"text": ["one two three " * 10, "", "cat"]})
    features = features_of(rows, train=True, max_length=12)
    assert features["row"][:] == [0, 0, 0, 2]
    assert [len(ids) for ids in features["input_ids"]] == [12, 12, 12, 3]  # 30 words in windows of 10
    assert features[3]["special_tokens_mask"] == [1, 0, 1]


def test_blocks_run_texts_together_in_training_only():
    tokenizer, blocks = tiny.tokenizer("bert"), replace(FILL, blocks=True)
    rows = Dataset.from_dict({"text": ["one two three", "the cat", "a dog"]})
    features = features_of(rows, train=True, kind=blocks, max_length=8)
    assert [tokenizer.decode(ids) for ids in features["input_ids"]] == [
        "[CLS] one two three [SEP] the cat [SEP]",
        "[CLS] [SEP] a dog [SEP] [SEP]",
    ]
    assert features_of(rows, kind=blocks)["row"][:] == [0, 1, 2]


def test_loss_and_accuracy_by_hand():
    # Two features over a vocabulary of two. Logits (0, 0): each word has probability 1/2, loss log 2.
    # Logits (log 3, 0): probabilities 3/4 and 1/4. -100 is not counted.
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), 0.0]], [[math.log(3), 0.0], [0.0, 0.0]]])
    labels = torch.tensor([[-100, 0], [1, -100]])
    reduced = FILL.reduce(logits, labels)
    torch.testing.assert_close(reduced, torch.tensor([[math.log(4 / 3), 1.0, 1.0], [math.log(4), 0.0, 1.0]]))
    rows = Dataset.from_dict({"text": ["a", "", "b"]})
    features = Dataset.from_dict({"row": [0, 2]})
    predictions = FILL.decode(MLM, rows, features, reduced.numpy())
    assert predictions[1] == (0.0, 0.0, 0.0)
    # Mean loss (log 4/3 + log 4) / 2 = log(16/3) / 2, perplexity sqrt(16/3), 1 of 2 right.
    expected = {"accuracy": 50.0, "loss": math.log(16 / 3) / 2, "perplexity": math.sqrt(16 / 3)}
    assert FILL.score(MLM, predictions, rows) == pytest.approx(expected, rel=1e-6)


def test_the_windows_of_a_row_are_added_up():
    rows, features = Dataset.from_dict({"text": ["a"]}), Dataset.from_dict({"row": [0, 0]})
    assert FILL.decode(MLM, rows, features, [[1.0, 0.0, 2.0], [0.5, 1.0, 1.0]]) == [(1.5, 1.0, 3.0)]


def test_mistakes_say_what_to_do():
    with pytest.raises(StiltsError, match="without labels.*reduce\\(logits, labels\\)"):
        FILL.reduce(torch.zeros(1, 2, 3))
    with pytest.raises(StiltsError, match="no token was masked in 1 rows"):
        FILL.score(MLM, [(0.0, 0.0, 0.0)], Dataset.from_dict({"text": [""]}))
    with pytest.raises(StiltsError, match="share of 0 of the tokens.*FillMask\\(probability=0.15\\)"):
        features_of(SENTENCES, kind=replace(FILL, probability=0))
    with pytest.raises(StiltsError, match="T5Tokenizer has no mask token"):
        features_of(SENTENCES, arch="mt5")


@pytest.mark.parametrize("arch", ["xlm-roberta", "bert", "distilbert", "roberta", "deberta-v2"])
def test_the_head_sees_masked_tokens_only_and_the_loss_and_every_gradient_stay(arch):
    model = tiny.with_head(AutoModelForMaskedLM, arch)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    tokenizer, features = tiny.tokenizer(arch), features_of(SENTENCES, train=True, arch=arch)
    torch.manual_seed(0)
    batch = FILL.collator(tokenizer)([features[place] for place in range(4)])

    def step():
        model.train().zero_grad()
        output = model(**batch)
        output.loss.backward()
        return output, {
            name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None
        }

    whole, gradients = step()
    done = score_masked_positions_only(model)
    part, same = step()
    torch.testing.assert_close(part.loss, whole.loss)
    torch.testing.assert_close(same, gradients)
    masked = int((batch["labels"] != -100).sum())
    assert done == (arch != "distilbert"), "DistilBERT's head is several modules"
    assert part.logits.numel() == (masked if done else batch["labels"].numel()) * model.config.vocab_size
    assert model.eval()(**batch).logits.shape == (*batch["labels"].shape, model.config.vocab_size)
