"""Chunks and their F1: each rule by hand, and arrays against the walk that seqeval's source describes."""

import evaluate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_stilts.metrics import metric_path
from hf_stilts.metrics.chunk_f1.chunks import (
    chunk_scores,
    chunks,
    count_by_sentence,
    count_chunks,
    number_tags,
    token_accuracy,
)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        # A run of equal plain tags is one chunk, wherever sentences and words end.
        (["NOUN", "NOUN", "VERB"], [("NOUN", 0, 1), ("VERB", 2, 2)]),
        # The first letter is read as a prefix. S: one chunk for each token.
        (["SCONJ", "SCONJ", "SYM"], [("SCONJ", 0, 0), ("SCONJ", 1, 1), ("SYM", 2, 2)]),
        # I: "inside", which changes nothing within a run.
        (["INTJ", "INTJ"], [("INTJ", 0, 1)]),
        # CCONJ and SCONJ stay two types.
        (["CCONJ", "SCONJ"], [("CCONJ", 0, 0), ("SCONJ", 1, 1)]),
        # O stands for nothing.
        (["O", "ADJ", "O", "ADJ"], [("ADJ", 1, 1), ("ADJ", 3, 3)]),
        # BIO: a B opens, an I goes on, an I of another type or after O opens too.
        (
            ["B-PER", "I-PER", "B-PER", "I-LOC", "O", "I-LOC"],
            [("PER", 0, 1), ("PER", 2, 2), ("LOC", 3, 3), ("LOC", 5, 5)],
        ),
        # BIOES: E closes, S is one for itself.
        (["B-PER", "E-PER", "E-PER", "S-PER", "I-PER"], [("PER", 0, 1), ("PER", 2, 2), ("PER", 3, 3), ("PER", 4, 4)]),
        # The type is what follows the last hyphen.
        (["B-X-PER", "I-Y-PER"], [("PER", 0, 1)]),
        ([], []),
    ],
)
def test_chunks_rule_by_rule(tags, expected):
    assert chunks(tags) == expected


def test_the_other_rule_reads_types_behind_the_first_hyphen_or_letter():
    assert chunks(["B-X-PER", "I-Y-PER"], "iob2") == [("X-PER", 0, 0), ("Y-PER", 1, 1)]
    assert chunks(["CCONJ", "ADJ"], "iob2") == [("CONJ", 0, 0), ("DJ", 1, 1)]
    assert chunks(["B", "I", "O"], "iob2") == [("_", 0, 1)]


def test_scores_by_hand():
    gold = [["NOUN", "NOUN", "VERB"], ["VERB", "DET"]]
    found = [["NOUN", "VERB", "VERB"], ["VERB", "DET"]]
    # Gold chunks: NOUN 0-1, VERB 2, VERB 4, DET 5 (place 3 is the O after sentence one). Found: NOUN 0, VERB 1-2,
    # VERB 4, DET 5. Two are in both: P = 2/4, R = 2/4, F1 = 1/2.
    assert chunk_scores(gold, found) == {"f1": 0.5, "precision": 0.5, "recall": 0.5}


def test_no_chunk_crosses_the_end_of_a_sentence():
    # Joined without an O, one chunk of three would be found on both sides.
    assert chunk_scores([["NOUN"], ["NOUN", "NOUN"]], [["NOUN"], ["NOUN", "VERB"]])["recall"] == 0.5


def test_nothing_right_and_nothing_there():
    assert chunk_scores([["A"]], [["B"]]) == {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    assert chunk_scores([["O"]], [["O"]]) == {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    assert chunk_scores([], []) == {"f1": 0.0, "precision": 0.0, "recall": 0.0}


def test_sides_of_unequal_lengths_are_compared_place_by_place():
    # "A" + O, "D" + O against "A" + O, "D", "D" + O: A 0-0 is right, D 2-2 is not D 2-3. P = R = 1/2.
    assert chunk_scores([["A"], ["D"]], [["A"], ["D", "D"]])["f1"] == 0.5
    # A sentence too many on one side: its chunk is one more that was found. P = 2/3, R = 1.
    assert chunk_scores([["A"], ["D"]], [["A"], ["D"], ["A"]])["f1"] == pytest.approx(0.8)


def walk(tags, kind_of):
    """The walk over tags as the head of chunks.py and seqeval's source describe it."""
    found, prefix, kind, first = set(), "O", "", 0
    for place, tag in enumerate([*tags, "O"]):
        after, after_kind = tag[0], kind_of(tag)
        changes = kind != after_kind
        if prefix in "ES" or (prefix in "BI" and after in "BSO") or (prefix not in "O." and changes):
            found.add((kind, first, place - 1))
        if after in "BS" or (prefix in "ESO" and after in "EI") or (after not in "O." and changes):
            first = place
        prefix, kind = after, after_kind
    return found


TYPES = {"upos": lambda tag: tag.split("-")[-1], "iob2": lambda tag: tag[1:].split("-", 1)[-1] or "_"}
odd_tags = st.sampled_from(
    "NOUN SCONJ SYM INTJ CCONJ BAR E O . - X X-PER B-PER I-PER E-PER S-PER O-PER .-PER B-LOC I-LOC B-X-LOC B I".split()
)
sentences = st.lists(st.lists(odd_tags, max_size=7), max_size=5)


@settings(max_examples=300, deadline=None)
@given(sentences, sentences, st.sampled_from(["upos", "iob2"]))
def test_arrays_equal_the_walk(gold, found, rule):
    expected, predicted = (walk([tag for tags in side for tag in (*tags, "O")], TYPES[rule]) for side in (gold, found))
    (left, right), names = number_tags(gold, found)
    counts = count_chunks(left, right, names, rule)
    numbers = [int(column.sum()) for column in counts[:3]]
    assert numbers == [len(expected & predicted), len(predicted), len(expected)]
    assert {name for name, count in zip(counts.types, counts.gold, strict=True) if count} == {
        key[0] for key in expected
    }


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.tuples(odd_tags, odd_tags), max_size=6), min_size=1, max_size=5))
def test_counts_of_sentences_are_those_of_each_alone(pairs):
    gold, found = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    (left, right), names = number_tags(gold, found)
    table = count_by_sentence(left, right, names)
    for row, one, other in zip(table.tolist(), gold, found, strict=True):
        expected, predicted = set(chunks(one)), set(chunks(other))
        assert row == [len(expected & predicted), len(predicted), len(expected)]


@pytest.mark.parametrize("rule", ["iob2", "upos"])
def test_entities_equal_seqeval(rule):
    peer = pytest.importorskip("seqeval.metrics", reason="seqeval comes with the extra bench")
    if rule == "upos" and hasattr(peer, "SCORES"):
        pytest.skip("seqeval 0.0.x is not installed")
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-PER"]
    gold = [[tags[(3 * row + place) % 7] for place in range(row % 6)] for row in range(60)]
    found = [[tags[(3 * row + place + (place * row) % 2) % 7] for place in range(row % 6)] for row in range(60)]
    scores = chunk_scores(gold, found, rule)
    assert 0 < scores["f1"] < 1
    for name, value in scores.items():
        assert value == pytest.approx(getattr(peer, f"{name}_score")(gold, found), abs=1e-15)


def test_refusals():
    with pytest.raises(ValueError, match="empty string"):
        chunk_scores([[""]], [["A"]])
    with pytest.raises(ValueError, match="rule='x' is not known. Expected one of: upos, iob2"):
        chunk_scores([["A"]], [["A"]], "x")
    (gold, found), _ = number_tags([["A"], ["A", "B"]], [["A"], ["A"]])
    with pytest.raises(ValueError, match="Sentence 1 has 2 gold tags and 1 predicted"):
        token_accuracy(gold, found)
    (gold, found), _ = number_tags([["A"]], [["A"], ["A"]])
    with pytest.raises(ValueError, match="Sentence 1 has 0 gold tags and 1 predicted"):
        token_accuracy(gold, found)


def test_the_module_by_hand():
    # Gold: PER 0-1, LOC 3. Found: PER 0, LOC 3. One of two is right; three of four tags are.
    tags = {"predictions": [["B-PER", "O", "O", "B-LOC"]], "references": [["B-PER", "I-PER", "O", "B-LOC"]]}
    scores = evaluate.load(metric_path("chunk_f1"), "iob2").compute(**tags, by_type=True)
    by_type = scores.pop("by_type")
    assert scores == {"f1": 0.5, "precision": 0.5, "recall": 0.5, "accuracy": 0.75, "correct": 1, "found": 2, "gold": 2}
    assert by_type["LOC"] == {"f1": 1.0, "precision": 1.0, "recall": 1.0, "number": 1}
    assert by_type["PER"]["f1"] == 0.0
    assert {type(value) for value in scores.values()} <= {int, float}
    with pytest.raises(ValueError, match="No prediction"):
        evaluate.load(metric_path("chunk_f1"), "iob2").compute(predictions=[], references=tags["references"])


def test_the_module_counts_parts_of_speech_unless_told_otherwise():
    # CCONJ and SCONJ are two types here, and one (CONJ) under iob2: there the whole of both sides is right.
    tags = {"predictions": [["CCONJ"]], "references": [["SCONJ"]]}
    assert evaluate.load(metric_path("chunk_f1")).compute(**tags)["f1"] == 0.0
    assert evaluate.load(metric_path("chunk_f1"), "iob2").compute(**tags)["f1"] == 1.0
    with pytest.raises(ValueError, match="no configuration 'bio'. Expected one of: upos, iob2"):
        evaluate.load(metric_path("chunk_f1"), "bio")
