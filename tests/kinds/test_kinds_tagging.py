"""Token classification: words, sub-tokens and windows, and the scores of tags."""

import kind_cases
import numpy as np
import pytest
import tiny
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import load_kind
from hf_stilts.task import Task

TAG = load_kind("token-classification")
POS = kind_cases.TASKS["token-classification"]
NER = Task(kind="token-classification", dataset="x/y", name="ner", labels=("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
TOKENIZERS = {arch: tiny.tokenizer(arch) for arch in tiny.ARCHITECTURES}


def features_of(tokens, tags=None, *, arch="bert", max_length=16, train=False, task=POS):
    rows = Dataset.from_dict({"tokens": tokens} if tags is None else {"tokens": tokens, "tags": tags})
    return rows, TAG.features(task, rows, TOKENIZERS[arch], max_length=max_length, train=train)


def shown(features, place, arch="bert"):
    return TOKENIZERS[arch].convert_ids_to_tokens(features[place]["input_ids"])


def test_the_first_sub_token_carries_the_tag():
    _, features = features_of([["the", "cats", "sings"]], [["DET", "NOUN", "VERB"]])
    assert shown(features, 0) == ["[CLS]", "the", "cat", "##s", "sings", "[SEP]"]
    assert features[0]["labels"] == [-100, 2, 0, -100, 1, -100]
    assert features[0]["starts"] == [1, 2, 4]


def test_a_sentence_is_cut_between_words():
    # Four sub-tokens fit between [CLS] and [SEP]: the + cat + ##s, then sings + a + dog.
    _, features = features_of([["the", "cats", "xyz", "a", "dog"]], max_length=6)
    assert [shown(features, place) for place in range(3)] == [
        ["[CLS]", "the", "cat", "##s", "[SEP]"],
        ["[CLS]", "x", "##y", "##z", "a", "[SEP]"],
        ["[CLS]", "dog", "[SEP]"],
    ]
    assert features["row"][:] == [0, 0, 0]


def test_windows_without_a_tag_are_not_trained_on():
    """A sentence of which only the end is tagged: the mean over the labels of its first window is no number."""
    tokens, tags = [["the", "cats", "xyz", "a", "dog"]], [[None, None, None, None, "NOUN"]]
    _, whole = features_of(tokens, tags, max_length=6)
    _, trained = features_of(tokens, tags, max_length=6, train=True)
    assert [shown(whole, place) for place in range(3)][2] == ["[CLS]", "dog", "[SEP]"] == shown(trained, 0)
    assert (len(whole), len(trained)) == (3, 1) and trained[0]["labels"] == whole[2]["labels"] == [-100, 0, -100]


def test_a_word_longer_than_the_window_keeps_its_window_and_its_rest_stands_before_the_next_words():
    _, features = features_of([["a", "qwzqwz", "dog", "cat"]], [["DET", "NOUN", "NOUN", "VERB"]], max_length=6)
    assert [shown(features, place) for place in range(3)] == [
        ["[CLS]", "a", "[SEP]"],
        ["[CLS]", "q", "##w", "##z", "##q", "[SEP]"],
        ["[CLS]", "##w", "##z", "dog", "cat", "[SEP]"],
    ]
    assert [features[place]["starts"] for place in range(3)] == [[1], [1], [3, 4]]
    assert features[2]["labels"] == [-100, -100, -100, 0, 1, -100]


def test_a_word_without_sub_tokens_becomes_the_unknown_token():
    tokenizer = tiny.tokenizer("xlm-roberta")
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\u200b", " ")  # as XLM-R's own normaliser does
    rows = Dataset.from_dict({"tokens": [["\u200b", "the", "", " "]]})
    features = TAG.features(POS, rows, tokenizer, max_length=16, train=False)
    assert tokenizer.convert_ids_to_tokens(features[0]["input_ids"]) == [
        "<s>",
        "<unk>",
        "▁the",
        "<unk>",
        "<unk>",
        "</s>",
    ]
    assert features[0]["starts"] == [1, 2, 3, 4]


def test_byte_level_words_are_marked_as_words():
    _, features = features_of([["the", "a"]], arch="roberta")
    assert shown(features, 0, "roberta") == ["<s>", "Ġthe", "Ġa", "</s>"]


def test_words_without_tag_are_not_learnt_and_rows_without_tags_are_dropped_in_training():
    rows, features = features_of([["the", "cat"], ["dog"], []], [[-1, 0], [None], []], train=True)
    assert features["row"][:] == [0]
    assert features[0]["labels"] == [-100, -100, 0, -100]
    assert TAG.features(POS, rows, TOKENIZERS["bert"], max_length=16, train=False)["row"][:] == [0, 1]


def test_words_and_tags_must_be_as_many():
    with pytest.raises(StiltsError, match="row 1 has 2 words and 1 tags; expected one tag for each"):
        features_of([["a"], ["the", "cat"]], [["DET"], ["DET"]])


def test_a_window_without_room_says_how_much_it_needs():
    with pytest.raises(StiltsError, match="window of 2 tokens.*expected at least 3"):
        features_of([["a"]], max_length=2)


words = st.text(st.sampled_from("abcxyz北京猫กขพानी한국어😀\u0301\u200d \u200b"), max_size=12)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(words, max_size=9), min_size=1, max_size=4),
    st.sampled_from(tiny.ARCHITECTURES),
    st.integers(4, 20),
)
def test_every_word_gets_exactly_one_prediction(tokens, arch, max_length):
    if not any(tokens):
        tokens = [*tokens, ["a"]]
    rows, features = features_of(tokens, arch=arch, max_length=max_length)
    assert max(map(len, features["input_ids"])) <= max_length
    # Every start answers with its own tag; all other places answer with one that must never be taken.
    marked, count = [], 0
    for feature in features:
        output = np.full(len(feature["input_ids"]) + 3, 2)
        for start in feature["starts"]:
            output[start] = count % 2
            count += 1
        marked.append(output)
    predictions = TAG.decode(POS, rows, features, marked)
    assert list(map(len, predictions)) == list(map(len, tokens))
    flat = [POS.labels.index(tag) for tags in predictions for tag in tags]
    assert flat == [place % 2 for place in range(len(flat))]


@settings(max_examples=40, deadline=None)
@given(st.lists(words, min_size=1, max_size=12), st.sampled_from(tiny.ARCHITECTURES), st.integers(4, 12))
def test_a_word_is_read_from_the_same_sub_token_in_any_window(tokens, arch, max_length):
    (_, short), (_, long) = (features_of([tokens], arch=arch, max_length=length) for length in (max_length, 500))
    assert len(long) == 1
    firsts = [
        [feature["input_ids"][start] for feature in features for start in feature["starts"]]
        for features in (short, long)
    ]
    assert firsts[0] == firsts[1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("abcxyz", max_size=3), min_size=1, max_size=20), st.sampled_from(tiny.ARCHITECTURES))
def test_windows_lose_no_sub_token_where_every_word_fits(tokens, arch):
    edges = len(TOKENIZERS[arch]("")["input_ids"])
    (_, short), (_, long) = (features_of([tokens], arch=arch, max_length=length) for length in (8, 500))
    sub_tokens = [sum(len(ids) - edges for ids in features["input_ids"]) for features in (short, long)]
    assert sub_tokens[0] == sub_tokens[1]


def test_scores_of_tags_by_hand():
    rows = Dataset.from_dict({"tokens": [["a", "cat"], ["dog"]], "tags": [["DET", "NOUN"], ["NOUN"]]})
    # 2 of 3 words are right. Gold chunks: DET, NOUN, NOUN. Found: DET, VERB, NOUN. P = R = F1 = 2/3.
    scores = TAG.score(POS, [["DET", "VERB"], ["NOUN"]], rows)
    assert scores == pytest.approx(dict.fromkeys(("f1", "precision", "recall", "accuracy"), 200 / 3))


def test_entities_are_scored_as_wholes():
    rows = Dataset.from_dict({"tokens": [["A", "B", "in", "C"]], "tags": [["B-PER", "I-PER", "O", "B-LOC"]]})
    scores = TAG.score(NER, [["B-PER", "O", "O", "B-LOC"]], rows)
    # PER is cut short and does not count: 1 hit of 2 found and 2 gold. 3 of 4 words are right.
    assert scores == {"f1": 50.0, "precision": 50.0, "recall": 50.0, "accuracy": 75.0}


def test_words_without_gold_tag_do_not_count():
    rows = Dataset.from_dict({"tokens": [["a", "cat", "x"], []], "tags": [["2", "0", "-1"], []]})
    assert TAG.score(POS, [["DET", "NOUN", "VERB"], []], rows)["accuracy"] == 100.0


def test_unlabelled_rows_are_not_scored_and_half_labelled_ones_are_an_error():
    tokens = [["a", "cat"], ["dog"], []]
    assert TAG.score(POS, [["DET", "NOUN"], ["NOUN"], []], Dataset.from_dict({"tokens": tokens})) == {}
    some = Dataset.from_dict({"tokens": tokens, "tags": [[0, 1], [-1], []]})
    with pytest.raises(StiltsError, match="1 of 2 rows have no gold label, first row 1"):
        TAG.score(POS, [["DET", "NOUN"], ["NOUN"], []], some)


def test_predictions_of_other_rows_are_refused():
    rows = Dataset.from_dict({"tokens": [["a", "cat"]], "tags": [["DET", "NOUN"]]})
    with pytest.raises(StiltsError, match="row 0 has 2 words and 1 predicted tags"):
        TAG.score(POS, [["DET"]], rows)
