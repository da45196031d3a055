"""Text classification and multiple choice: what becomes of labels, pairs and choices, and how they are scored."""

import kind_cases
import pytest
import tiny
from datasets import Dataset

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import load_kind
from hf_stilts.task import Task

CLASSIFY, CHOOSE = load_kind("text-classification"), load_kind("multiple-choice")
NLI = kind_cases.TASKS["text-classification"]
PAIRS = Task(kind="text-classification", dataset="x/y", name="pairs", labels=("different", "same"), metric="acc_and_f1")
COPA = kind_cases.TASKS["multiple-choice"]


def texts_of(features, tokenizer):
    return [tokenizer.decode(ids, skip_special_tokens=True) for ids in features["input_ids"]]


def test_a_single_text_and_a_pair():
    tokenizer = tiny.tokenizer("bert")
    single = Dataset.from_dict({"text": ["the cat"], "label": [0]})
    pair = Dataset.from_dict({"text": ["the cat"], "text_pair": ["a dog"], "label": [0]})
    empty_pair = Dataset.from_dict({"text": ["the cat"], "text_pair": [None], "label": [0]})
    one, two, three = (
        CLASSIFY.features(NLI, rows, tokenizer, max_length=16, train=True)[0] for rows in (single, pair, empty_pair)
    )
    assert tokenizer.decode(one["input_ids"]) == "[CLS] the cat [SEP]"
    assert tokenizer.decode(two["input_ids"]) == "[CLS] the cat [SEP] a dog [SEP]"
    assert two["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]
    assert three == one


def test_a_missing_second_text_among_others_is_empty():
    tokenizer = tiny.tokenizer("bert")
    rows = Dataset.from_dict({"text": ["the cat", "a dog"], "text_pair": [None, "she sings"], "label": [0, 1]})
    features = CLASSIFY.features(NLI, rows, tokenizer, max_length=16, train=True)
    assert list(map(tokenizer.decode, features["input_ids"])) == [
        "[CLS] the cat [SEP] [SEP]",
        "[CLS] a dog [SEP] she sings [SEP]",
    ]


def test_the_longer_text_of_a_pair_is_cut():
    tokenizer = tiny.tokenizer("bert")
    rows = Dataset.from_dict({"text": ["the cat " * 20], "text_pair": ["a dog"], "label": [0]})
    features = CLASSIFY.features(NLI, rows, tokenizer, max_length=9, train=True)
    assert tokenizer.decode(features[0]["input_ids"]) == "[CLS] the cat the cat [SEP] a dog [SEP]"


def test_labels_come_as_ids_names_or_aliases():
    task = Task(kind="text-classification", dataset="x/y", labels=("yes", "no"), aliases={"nein": "no"})
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "label": ["no", "yes", "nein"]})
    assert CLASSIFY.features(task, rows, tiny.tokenizer(), max_length=8, train=True)["labels"][:] == [1, 0, 1]


@pytest.mark.parametrize("missing", [-1, None])
def test_rows_without_label_are_dropped_in_training_and_kept_in_evaluation(missing):
    rows = Dataset.from_dict({"text": ["one", "two", "three"], "label": [missing, 2, 0]})
    train = CLASSIFY.features(NLI, rows, tiny.tokenizer(), max_length=8, train=True)
    test = CLASSIFY.features(NLI, rows, tiny.tokenizer(), max_length=8, train=False)
    assert (train["row"][:], train["labels"][:]) == ([1, 2], [2, 0])
    assert (test["row"][:], test["labels"][:]) == ([0, 1, 2], [-100, 2, 0])


def test_the_head_knows_the_labels_by_name():
    assert CLASSIFY.head_config(NLI) == {
        "num_labels": 3,
        "id2label": {0: "entailment", 1: "neutral", 2: "contradiction"},
        "label2id": {"entailment": 0, "neutral": 1, "contradiction": 2},
        "problem_type": "single_label_classification",
    }


def test_accuracy_by_hand():
    rows = Dataset.from_dict({"text": ["a", "b", "c", "d"], "label": [0, 1, 2, 2]})
    names = CLASSIFY.decode(NLI, rows, None, [0, 1, 1, 2])
    assert names == ["entailment", "neutral", "neutral", "contradiction"]
    assert CLASSIFY.score(NLI, names, rows) == {"accuracy": 75.0}  # 3 of 4


def test_binary_f1_by_hand():
    rows = Dataset.from_dict({"text": list("abcde"), "label": [1, 1, 1, 0, 0]})
    scores = CLASSIFY.score(PAIRS, ["same", "different", "same", "same", "different"], rows)
    # Right: rows 0, 2, 4 of 5. Of class 1: 2 hits, 3 predicted, 3 gold, so F1 = 2 * 2 / (3 + 3).
    assert scores == pytest.approx({"accuracy": 60.0, "f1": 200 / 3, "acc_and_f1": (60 + 200 / 3) / 2})


def test_binary_f1_without_a_hit_is_zero():
    rows = Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]})
    assert CLASSIFY.score(PAIRS, ["different", "different"], rows) == {"accuracy": 50.0, "f1": 0.0, "acc_and_f1": 25.0}


def test_unlabelled_rows_are_not_scored_and_half_labelled_ones_are_an_error():
    none = Dataset.from_dict({"text": ["a", "b"]})
    some = Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, -1, 1]})
    assert CLASSIFY.score(NLI, ["neutral", "neutral"], none) == {}
    with pytest.raises(StiltsError, match="1 of 3 rows have no gold label, first row 1.*Drop them"):
        CLASSIFY.score(NLI, ["neutral"] * 3, some)


def test_each_choice_stands_with_context_and_question():
    tokenizer = tiny.tokenizer("bert")
    rows = Dataset.from_dict(
        {
            "context": ["the cat", "a dog"],
            "question": ["why ?", ""],
            "choices": [["because", "not"], ["house", "city"]],
            "label": [0, 1],
        }
    )
    features = CHOOSE.features(COPA, rows, tokenizer, max_length=32, train=True)
    assert [[tokenizer.decode(ids) for ids in row] for row in features["input_ids"]] == [
        ["[CLS] the cat why? [SEP] because [SEP]", "[CLS] the cat why? [SEP] not [SEP]"],
        ["[CLS] a dog [SEP] house [SEP]", "[CLS] a dog [SEP] city [SEP]"],
    ]
    batch = CHOOSE.collator(tokenizer)([features[0], features[1]])
    assert batch["input_ids"].shape[:2] == (2, 2)
    assert batch["labels"].tolist() == [0, 1]


def test_a_question_column_may_be_absent_and_its_cells_empty():
    rows = {"context": ["the cat"], "choices": [["a", "dog"]], "label": [0]}
    features = [
        CHOOSE.features(COPA, Dataset.from_dict(columns), tiny.tokenizer(), max_length=16, train=True)[0]
        for columns in (rows, {**rows, "question": [None]}, {**rows, "question": [""]})
    ]
    assert features[0] == features[1] == features[2]


def test_choices_must_be_as_many_in_every_row():
    rows = Dataset.from_dict({"context": ["a", "b"], "choices": [["x", "y"], ["x", "y", "z"]], "label": [0, 2]})
    with pytest.raises(StiltsError, match="row 1 has 3 choices, row 0 has 2.*prepare="):
        CHOOSE.features(COPA, rows, tiny.tokenizer(), max_length=16, train=True)


def test_a_label_that_is_no_choice_is_an_error():
    rows = Dataset.from_dict({"context": ["a"], "choices": [["x", "y"]], "label": [2]})
    with pytest.raises(StiltsError, match="row 0 has label 2; expected the number of a choice, 0 to 1"):
        CHOOSE.features(COPA, rows, tiny.tokenizer(), max_length=16, train=True)


def test_choices_are_scored_by_accuracy():
    rows = Dataset.from_dict({"context": list("abc"), "choices": [["x", "y"]] * 3, "label": [0, 1, 1]})
    assert CHOOSE.decode(COPA, rows, None, [0, 1, 0]) == [0, 1, 0]
    assert CHOOSE.score(COPA, [0, 1, 0], rows) == {"accuracy": pytest.approx(200 / 3)}  # 2 of 3
    assert CHOOSE.score(COPA, [0, 1, 0], rows.remove_columns("label")) == {}
