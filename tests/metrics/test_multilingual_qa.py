"""Exact match and F1 of answers: both normalisations rule by rule, scores by hand, and the module."""

import re
import string
import sys
import unicodedata

import evaluate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_stilts.metrics import metric_path
from hf_stilts.metrics.multilingual_qa.answers import (
    answer_scores,
    answer_shares,
    answer_similarity,
    best_threshold_scores,
    normalise,
    overlap,
    words,
)
from hf_stilts.metrics.multilingual_qa.checklist import bare, failure_rates


def test_squads_normalisation_is_english_and_ascii_only():
    assert normalise("The  Cat's (an) a-dog!") == "cats adog"
    assert normalise("«Der» Hund。") == "«der» hund。"
    # An article is what stands between other characters than letters, digits and "_", also where those are no blanks.
    assert normalise("«the» €a") == "« » €"
    assert normalise("a\x07b") == "\x07b"


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "en",
            "The “Quick” Fox’s an—end",
            "quick foxs anend",
        ),  # punctuation goes before articles do: "an—end" is one word
        ("es", "¿El Niño y las unas casas?", "niño y casas"),
        ("de", "Die Häuser des Einen, einer", "häuser"),
        ("de", "derweil dasselbe", "derweil dasselbe"),
        ("vi", "Những con mèo của cái nhà là chiếc", "con mèo nhà"),
        ("hi", "। द हाउस!", "द हाउस"),  # the danda is punctuation; no articles
        ("ar", "القاهرة، والكتاب", "قاهرة و كتاب"),  # "ال" also from within a word
        ("zh", "北京市。HTML5 标准", "北 京 市 html5 标 准"),
        ("zh", "the 𠀀か", "the 𠀀か"),  # neither rare ideographs nor kana are cut; English articles stay
        ("en", "a $5 <b>", "5 b"),  # "$" and "<" are symbols in Unicode, but ASCII punctuation
    ],
)
def test_mlqas_normalisation_rule_by_rule(language, text, expected):
    assert normalise(text, "mlqa", language) == expected


PUNCTUATION = {chr(i) for i in range(sys.maxunicode) if unicodedata.category(chr(i))[0] == "P"} | {*string.punctuation}


def slowly(text, marks):
    """SQuAD's official steps, one after the other."""
    kept = "".join(character for character in text.lower() if character not in marks)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


texts = st.lists(
    st.sampled_from(
        ["the", "a", "An", "cat", "İ", "ß", "«", "'", "-", " ", "\u00a0", "\x1c", "\x00", "\n", "।", "€", "_", "1"]
    )
).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=4))
def test_texts_are_rewritten_together_as_each_alone(several):
    for normalisation, marks in (("squad", string.punctuation), ("mlqa", PUNCTUATION)):
        together = words(several, normalisation)
        assert {text: " ".join(found) for text, found in together.items()} == {
            text: slowly(text, marks) for text in several
        }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ابالقكتΣσςаAeİال北 京.", max_size=6), max_size=4), st.sampled_from(["ar", "zh", "hi", "de"]))
def test_neighbours_do_not_touch(several, language):
    assert words(several, "mlqa", language) == {text: normalise(text, "mlqa", language).split() for text in several}


def test_overlap_counts_words_as_often_as_they_occur():
    # "x x y" and "x z x": twice x. P = R = 2/3. "x x" and "x": one, P = 1/2, R = 1.
    assert overlap(["x", "x", "y"], ["x", "z", "x"]) == pytest.approx(2 / 3)
    assert overlap(["x", "x"], ["x"]) == overlap(["x"], ["x", "x"]) == pytest.approx(2 / 3)
    assert overlap(["x"], ["y"]) == overlap([], []) == 0.0


def test_scores_by_hand():
    golds = [["the green house"], ["Berlin", "in Berlin"], ["北京"]]
    scores = answer_scores(["green house!", "in the Berlin", "北京市"], golds)
    # 1: equal after normalisation. 2: "in berlin" equals the second gold. 3: not equal, no shared word, 0.
    assert scores == pytest.approx({"exact_match": 200 / 3, "f1": 200 / 3, "em_and_f1": 200 / 3})
    # "old green house" against "green house": 2 shared, P = 2/3, R = 1, F1 = 4/5.
    assert answer_scores(["old green house"], [["green house"]]) == pytest.approx(
        {"exact_match": 0.0, "f1": 80.0, "em_and_f1": 40.0}
    )
    # "a b b" loses its article; 1 of "b b" is shared with "b": P = 1/2, R = 1.
    assert answer_scores(["a b b"], [["b"]])["f1"] == pytest.approx(200 / 3)


def test_chinese_characters_are_words_to_mlqa():
    # 北 京 市 against 北 京: 2 shared, P = 2/3, R = 1.
    assert answer_scores(["北京市"], [["北京"]], normalisation="mlqa", language="zh")["f1"] == pytest.approx(80.0)


def test_answers_that_normalise_to_nothing():
    # SQuAD 1.1: equal, so exact; but no word is shared.
    assert answer_scores(["%"], [["%"]]) == {"exact_match": 100.0, "f1": 0.0, "em_and_f1": 50.0}
    # SQuAD 2.0: nothing is the right answer to nothing.
    assert answer_scores(["%"], [["%"]], True)["f1"] == 100.0


def test_a_question_that_was_left_out_counts_nothing_even_where_nothing_would_be_right():
    assert answer_scores([None, "x"], [["%"], ["x"]])["exact_match"] == 50.0


def test_scores_with_unanswerable_questions_by_hand():
    golds = [["cat"], [], []]
    scores = answer_scores(["the cat", "", "dog"], golds, unanswerable=True)
    assert scores == pytest.approx(
        {
            "exact_match": 200 / 3, "f1": 200 / 3, "em_and_f1": 200 / 3, "HasAns_exact": 100.0, "HasAns_f1": 100.0,
            "NoAns_exact": 50.0, "NoAns_f1": 50.0,
        }
    )  # fmt: skip
    assert answer_scores([""], [["cat"]], True)["f1"] == 0.0


def test_refusals():
    with pytest.raises(ValueError, match="1 predictions for 2 questions"):
        answer_scores(["x"], [["x"], ["y"]])
    with pytest.raises(ValueError, match="0 predictions for 0 questions"):
        answer_scores([], [])
    with pytest.raises(ValueError, match="normalisation='x' is not known. Expected one of: squad, mlqa"):
        normalise("x", "x")
    with pytest.raises(ValueError, match="does not know the language 'sw'. Expected one of: ar, de"):
        normalise("x", "mlqa", "sw")


def test_the_module_by_hand():
    # German loses "das" and "ein": "alte haus" shares one word with "haus": P = 1/2, R = 1. SQuAD's keeps them all:
    # "das alte haus" against "ein haus": P = 1/3, R = 1/2, F1 = 2/5; against "haus": P = 1/3, R = 1, F1 = 1/2.
    answers = {"predictions": ["das alte Haus"], "references": [["Haus", "ein Haus"]]}
    mlqa = evaluate.load(metric_path("multilingual_qa"), "mlqa")
    assert mlqa.compute(**answers, language="de") == pytest.approx(
        {"exact_match": 0, "f1": 200 / 3, "em_and_f1": 100 / 3}
    )
    assert evaluate.load(metric_path("multilingual_qa")).compute(**answers)["f1"] == pytest.approx(50.0)
    with pytest.raises(ValueError, match="needs the language"):
        mlqa.compute(**answers)
    with pytest.raises(ValueError, match="no configuration 'xquad'. Expected one of: squad, mlqa"):
        evaluate.load(metric_path("multilingual_qa"), "xquad")


def test_the_module_takes_questions_without_answer():
    squad = evaluate.load(metric_path("multilingual_qa"), "squad")
    scores = squad.compute(predictions=["", "cat"], references=[[], ["cat"]], unanswerable=True)
    assert scores["exact_match"] == scores["NoAns_exact"] == 100.0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["cat", "the cat", "dog", "the", ""]),
            st.sampled_from([-9.0, -1.5, 0.0, 2.0, 7.0]),
            st.sampled_from([[], ["cat"], ["big cat", "dog"]]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_best_scores_are_those_of_the_best_of_all_thresholds(questions):
    spans, doubts, golds = zip(*questions, strict=True)
    tried = {"exact_match": [], "f1": []}
    for threshold in (-10.0, *{*doubts}):  # a span is given where its doubt is at most the threshold
        answers = [span if doubt <= threshold else "" for span, doubt in zip(spans, doubts, strict=True)]
        exact, f1 = answer_shares(answers, golds, unanswerable=True)
        # SQuAD's script: any span given to a question without answer is wrong, also "the", which normalises to "".
        wrong = [bool(answer) and not gold for answer, gold in zip(answers, golds, strict=True)]
        for name, shares in (("exact_match", exact), ("f1", f1)):
            tried[name].append(sum(share for share, no in zip(shares, wrong, strict=True) if not no))
    found = best_threshold_scores(spans, doubts, golds)
    best = {name: 100 * max(sums) / len(spans) for name, sums in tried.items()}
    assert found["best_exact"] == pytest.approx(best["exact_match"])
    assert found["best_f1"] == pytest.approx(best["f1"])
    assert found["best_em_and_f1"] == pytest.approx((best["exact_match"] + best["f1"]) / 2)


def test_a_span_of_infinite_doubt_is_never_given():
    assert best_threshold_scores(["cat"], [float("inf")], [["cat"]])["best_exact"] == 0.0
    assert best_threshold_scores(["cat"], [-float("inf")], [["cat"]])["best_exact"] == 100.0


def test_similarity_of_answers_by_hand():
    sacrebleu = pytest.importorskip("sacrebleu")
    pytest.importorskip("rapidfuzz")
    # "the" is left out. houses / horses: 5 shared of 6 each, one replaced; best of two gold answers.
    found = answer_similarity(["The houses"], [["x", "horses"]])
    assert found["character_f1"] == pytest.approx(100 * 5 / 6) and found["edit_similarity"] == pytest.approx(
        100 * 5 / 6
    )
    assert found["chrf"] == pytest.approx(sacrebleu.sentence_chrf("houses", ["horses"]).score)
    # F1 of words is 0. Of characters precision is 2 / 3, recall 2 / 2; one of three is to be deleted.
    chinese = answer_similarity(["北京市"], [["北京"]])
    assert answer_scores(["北京市"], [["北京"]])["f1"] == 0
    assert chinese["character_f1"] == pytest.approx(80) and chinese["edit_similarity"] == pytest.approx(100 * 2 / 3)
    # In MLQA's normal form each Han character is a word, so there is a blank between them.
    assert answer_similarity(["北京市"], [["北京"]], "mlqa", "zh")["character_f1"] == pytest.approx(80)
    # Right, silent, silent where it is right to be, left out, and without anything in common.
    several = answer_similarity(["a cat!", "", "", None, "xyz"], [["cat"], ["cat"], [], ["cat"], ["abc"]])
    assert several == pytest.approx(dict.fromkeys(several, 40.0))
    with pytest.raises(ValueError, match="Expected as many"):
        answer_similarity(["x"], [])


@settings(max_examples=50)
@given(st.text("abc 北京", max_size=8), st.text("abc 北京", max_size=8))
def test_similarity_is_between_0_and_100_and_100_where_answers_match(answer, gold):
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rapidfuzz")
    found = answer_similarity([answer], [[gold]])
    assert all(0 <= value <= 100 for value in found.values())
    assert (found["edit_similarity"] == 100) == (answer_scores([answer], [[gold]])["exact_match"] == 100)


def test_the_module_adds_similarity_on_request_and_leaves_the_official_scores():
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rapidfuzz")
    module = evaluate.load(metric_path("multilingual_qa"), "mlqa")
    texts = {"predictions": ["北京市"], "references": [["北京"]], "language": "zh"}
    official = module.compute(**texts)
    found = module.compute(**texts, similarity=True)
    assert set(found) - set(official) == {"character_f1", "edit_similarity", "chrf"}
    assert {name: found[name] for name in official} == official and found["character_f1"] == pytest.approx(80)


def test_what_similarity_needs_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(ValueError, match="pip install rapidfuzz sacrebleu"):
        answer_similarity(["x"], [["x"]])


@pytest.mark.parametrize(
    ("language", "given", "expected"),
    [
        ("en", "in the box.", "box"),
        ("en", "The box", "The box"),  # as published, capitals count
        ("de", "eine Katze, ", "Katze"),
        ("de", "seine Katze", "seine Katze"),
        ("ar", "القط", "قط"),
        ("pl", "„kot”", "kot"),
        ("hi", "एक बिल्ली৷", "बिल्ली"),
        ("zh", "猫. ", "猫"),
        ("sw", "paka", "paka"),
    ],
)
def test_answers_of_behavioural_tests_are_bared_as_published(language, given, expected):
    assert bare(given, language) == expected


def test_failure_rates_count_cases_and_average_tests():
    cases = ["a-0", "a-0", "a-1", "b_v2-0", "b_v2-1", "b_v2-2", "b_v2-3"]
    golds = [["x"]] * 7
    rates = failure_rates(["x", "y", "x", "x", None, "the x", "x."], golds, cases)
    assert rates == {"failure_rate": 37.5, "failure_rate_a": 50.0, "failure_rate_b_v2": 25.0}
    with pytest.raises(ValueError, match="Expected as many"):
        failure_rates(["x"], golds, cases)
