"""Question answering: windows, gold positions, the search for the best span, null answers, SQuAD's scores."""

import pickle
from dataclasses import replace

import kind_cases
import numpy as np
import pytest
import regex
import tiny
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import kind_for, load_kind
from hf_stilts.kinds.spans import best_spans
from hf_stilts.task import load_task

ANSWER = load_kind("question-answering")
QA = kind_cases.TASKS["question-answering"]
TOKENIZERS = {**{arch: tiny.tokenizer(arch) for arch in tiny.ARCHITECTURES}, "nfkc": tiny.tokenizer()}
TOKENIZERS["nfkc"].backend_tokenizer.normalizer = normalizers.NFKC()  # close to the one of XLM-R and mT5


def rows_of(*cases):
    """Rows from (context, answer, where it starts) or (context,), which has no answer."""
    answers = [{"text": list(case[1:2]), "answer_start": list(case[2:3])} for case in cases]
    return Dataset.from_dict(
        {
            "id": [str(number) for number in range(len(cases))],
            "question": ["who sings ?"] * len(cases),
            "context": [case[0] for case in cases],
            "answers": answers,
        }
    )


def features_of(rows, arch="bert", max_length=32, train=False, kind=ANSWER):
    return kind.features(QA, rows, TOKENIZERS[arch], max_length=max_length, train=train)


def gold_logits(features, height=1.0):
    """What a model gives that knows the gold positions: `height` there, 0 elsewhere."""
    outputs = []
    for feature in features:
        logits = np.zeros((len(feature["input_ids"]), 2), dtype=np.float32)
        logits[feature["start_positions"], 0] = logits[feature["end_positions"], 1] = height
        outputs.append(logits)
    return outputs


def test_positions_of_an_answer_by_hand():
    rows = rows_of(("the cat is in the city", "the city", 14))
    feature = features_of(rows)[0]
    # [CLS] who s ##i.. : find the tokens by their characters instead of counting them.
    assert [feature["starts"][feature["start_positions"]], feature["ends"][feature["end_positions"]]] == [14, 22]
    assert feature["starts"][0] == -1
    assert feature["input_ids"][feature["null"]] == TOKENIZERS["bert"].cls_token_id


def test_windows_overlap_and_only_those_that_hold_the_whole_answer_are_labelled():
    context = "one two three " * 12 + "green house city river " + "small big red old " * 10
    start = context.index("house")
    features = features_of(rows_of((context, "house city", start)), max_length=24)
    assert set(features["row"]) == {0} and len(features) > 3
    whole, part, none = 0, 0, 0
    for feature, following in zip(features, [*features][1:] + [None], strict=True):
        covered = {(a, b) for a, b in zip(feature["starts"], feature["ends"], strict=True) if a >= 0}
        has_house, has_city = ((start, start + 5) in covered), ((start + 6, start + 10) in covered)
        at_null = feature["start_positions"] == feature["end_positions"] == feature["null"]
        whole, part, none = whole + (has_house and has_city), part + (has_house != has_city), none + at_null
        assert at_null is not (has_house and has_city)
        if following:
            assert covered & {(a, b) for a, b in zip(following["starts"], following["ends"], strict=True)}
    assert whole >= 1 and none == len(features) - whole


def test_an_answer_cut_by_every_window_is_labelled_as_absent():
    context = "one two three four green house city river old book doctor teacher small big red because"
    rows = rows_of((context, context[:70], 0))
    features = features_of(rows, max_length=16)
    assert features["start_positions"][:] == features["end_positions"][:] == features["null"][:]


def test_outer_blanks_belong_to_no_answer():
    rows = rows_of(("  the cat  sings ", " cat  ", 5))
    for arch in tiny.ARCHITECTURES:
        features = features_of(rows, arch)
        assert ANSWER.decode(QA, rows, features, gold_logits(features)) == ["cat"], arch


def test_characters_that_make_no_token_do_not_hide_an_answer():
    tokenizer = tiny.tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\u200b", " ")  # as XLM-R's own normaliser does
    rows = rows_of(("\u200bthe cat\u200b", "\u200bthe cat\u200b", 0))
    features = ANSWER.features(QA, rows, tokenizer, max_length=32, train=False)
    assert ANSWER.decode(QA, rows, features, gold_logits(features)) == ["the cat"]


def test_an_answer_that_is_not_where_it_says_is_an_error():
    with pytest.raises(StiltsError, match="row 1 has the answer 'dog' at character 4, where its context reads 'cat'"):
        features_of(rows_of(("the dog", "dog", 4), ("the cat", "dog", 4)))


def test_long_questions_are_cut_and_short_windows_still_have_room():
    rows = rows_of(("the cat sings", "cat", 4))
    rows = rows.remove_columns("question").add_column("question", ["   " + "where is the house " * 30])
    feature = features_of(rows, max_length=20, train=True)[0]
    # 20 - 3 special tokens leave 17; at most half of them, 8, go to the question.
    assert (
        TOKENIZERS["bert"]
        .decode(feature["input_ids"])
        .startswith("[CLS] where is the house where is the house [SEP] the")
    )
    assert features_of(rows, max_length=200)[0]["input_ids"].index(TOKENIZERS["bert"].sep_token_id) == 65


def test_the_stride_is_what_was_asked_wherever_windows_go_on(caplog):
    rows = rows_of(("one two three " * 60, "one", 0))
    rows = rows.remove_columns("question").add_column("question", ["where is the house " * 30])
    for asked, shared in ((32, 32), (60, 47)):  # 128 - 3 special tokens: 62 of the question, 63 of the context
        caplog.clear()
        features = features_of(rows, max_length=128, kind=replace(ANSWER, doc_stride=asked), arch="bert")
        first, second = (
            {pair[0] for pair in zip(each["starts"], each["ends"], strict=True)} for each in features.select([0, 1])
        )
        assert len(first & second - {-1}) == shared
        assert ("share 47 tokens of a context, not doc_stride=60" in caplog.text) is (asked == 60)


def test_a_window_without_room_says_what_to_do():
    with pytest.raises(StiltsError, match="window of 10 tokens leaves 7.*at least 8.*larger max_length"):
        features_of(rows_of(("a", "a", 0)), max_length=10)


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_the_null_position_is_cls_or_else_the_first_special_token(arch):
    tokenizer, feature = TOKENIZERS[arch], features_of(rows_of(("the cat",)), arch)[0]
    assert feature["input_ids"][feature["null"]] in (tokenizer.cls_token_id, tokenizer.eos_token_id)
    assert (feature["null"] == 0) is (arch != "mt5")


def test_training_features_hold_nothing_that_only_decoding_reads():
    features = features_of(rows_of(("the cat", "cat", 4)), train=True)
    assert {"starts", "ends", "null"}.isdisjoint(features.column_names)


# Spans: logits are (window, token, start or end).


def spans_of(starts, ends, allowed=None, n_best=20, max_answer=30):
    logits = np.array(list(zip(starts, ends, strict=True)), dtype=np.float32)
    allowed = np.ones(len(logits), dtype=bool) if allowed is None else np.array(allowed, dtype=bool)
    found = best_spans(logits, allowed, np.array([len(logits)]), n_best, max_answer)
    return found.score.item(), found.first.item(), found.last.item()


def test_best_span_by_hand():
    # Best start 2 (5.0) and best end 0 (6.0) do not make a span. 2-3: 5 + 2 = 7; 0-0: 1 + 6 = 7, with the lower start.
    assert spans_of([1, 0, 5, 0], [6, 0, 0, 2]) == (7.0, 2, 3)
    assert spans_of([1, 0, 5, 0], [6, 0, 0, 3]) == (8.0, 2, 3)


def test_spans_keep_to_the_context_to_the_longest_answer_and_to_the_n_best():
    assert spans_of([9, 1, 0], [0, 0, 9], allowed=[False, True, True]) == (10.0, 1, 2)
    assert spans_of([9, 0, 0], [0, 1, 9], max_answer=2) == (10.0, 0, 1)
    # Of one start (2) and one end (0) each no span can be made.
    assert spans_of([1, 0, 5], [6, 0, 2], n_best=1)[0] == -np.inf
    assert spans_of([3, 3], [1, 1], allowed=[False, False])[0] == -np.inf


def test_starts_and_ends_are_chosen_among_all_tokens_as_the_official_scripts_do():
    # The two best starts are 0 (9.0) and 1 (8.0), of which only 1 is allowed; 2 (7.0) is not looked at: 1-1, 8 + 5.
    assert spans_of([9, 8, 7], [0, 5, 9], allowed=[False, True, False], n_best=2) == (13.0, 1, 1)
    assert spans_of([9, 8, 7], [9, 9, 9], allowed=[False, False, True], n_best=2)[0] == -np.inf


def looped(logits, allowed, n_best, max_answer):
    """All spans of a window in the order in which run_qa's loops meet them, then sorted as it sorts."""
    ranked = [sorted(range(len(logits)), key=lambda place, side=side: -logits[place, side])[:n_best] for side in (0, 1)]
    spans = [
        (logits[first, 0] + logits[last, 1], first, last)
        for first in ranked[0]
        for last in ranked[1]
        if allowed[first] and allowed[last] and first <= last < first + max_answer
    ]
    return sorted(spans, key=lambda span: -span[0])


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(1, 14), min_size=1, max_size=4),
    st.integers(1, 20),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 10**6),
)
def test_spans_are_those_of_the_official_loops_ties_included(lengths, n_best, max_answer, keep, seed):
    rng = np.random.default_rng(seed)
    logits = rng.integers(-3, 3, (sum(lengths), 2)).astype(np.float32)  # many equal ones, of either sign
    allowed = rng.random(sum(lengths)) < 0.8
    found = best_spans(logits, allowed, np.array(lengths), n_best, max_answer, keep)
    for window, last in enumerate(np.cumsum(lengths)):
        own = slice(last - lengths[window], last)
        expected = looped(logits[own], allowed[own], n_best, max_answer)[:keep]
        ours = [span for span in zip(*(part[window].tolist() for part in found), strict=True) if span[0] > -np.inf]
        assert ours == expected


def test_n_best_answers_on_request():
    rows = rows_of(("the cat sings", "cat", 4))
    features = features_of(rows)
    tokens = {start: place for place, start in enumerate(features[0]["starts"])}
    outputs = [np.full((len(features[0]["input_ids"]), 2), -50.0, dtype=np.float32)]
    outputs[0][tokens[4], 0] = outputs[0][tokens[4], 1] = 1.0
    outputs[0][tokens[8], 1] = 1.0 - np.log(3.0)
    best = replace(ANSWER, n_best=2).n_best_answers(rows, features, outputs)[0]
    # "cat" 1 + 1, "cat sings" 1 + 1 - ln 3: their softmax is 3/4 and 1/4; n_best 2 keeps two.
    assert [answer["text"] for answer in best] == ["cat", "cat sings"]
    assert [answer["probability"] for answer in best] == pytest.approx([0.75, 0.25])
    assert best[0]["score"] == 2.0
    silent = replace(ANSWER, n_best=2, nulls=True).n_best_answers(rows, features, outputs)[0]
    assert [answer["text"] for answer in silent] == ["cat", "cat sings", ""]


def test_the_best_window_wins_and_padding_never_does():
    context = "one two three " * 20
    rows = rows_of((context, "one", 0), ("the cat", "the", 0))
    features = features_of(rows, max_length=24)
    outputs = [np.full((40, 2), -100.0, dtype=np.float32) for _ in features]  # as a Trainer pads them
    for place, feature in enumerate(features):
        length = len(feature["input_ids"])
        outputs[place][:length] = 0.0
        outputs[place][length:] = 50.0
    second = features[1]
    at = second["starts"].index(max(second["starts"]))
    outputs[1][at] = 7.0
    found = ANSWER.decode(QA, rows, features, outputs)
    assert found[0] == context[second["starts"][at] : second["ends"][at]]
    assert found[1] == "the"


def test_null_answers_only_where_some_questions_have_none():
    answerable, silent = ("the cat sings", "cat", 4), ("a dog",)
    mixed, plain = rows_of(answerable, silent), rows_of(answerable, answerable)
    features = features_of(mixed)
    outputs = gold_logits(features)  # the second row's gold is the null position
    assert ANSWER.decode(QA, mixed, features, outputs) == ["cat", ""]
    features = features_of(plain)
    nulls = [np.zeros_like(output) for output in gold_logits(features)]
    for output, feature in zip(nulls, features, strict=True):
        output[feature["null"]] = 9.0
    assert all(ANSWER.decode(QA, plain, features, nulls))
    assert ANSWER.score(QA, ["", ""], rows_of(silent, silent)) == {}
    assert replace(ANSWER, nulls=True).score(QA, ["", "dog"], rows_of(silent, silent))["exact_match"] == 50.0


def test_the_null_threshold_moves_the_border():
    mixed = rows_of(("the cat sings", "cat", 4), ("a dog",))
    features = features_of(mixed)
    outputs = gold_logits(features)
    outputs[1][:] = 0.0
    outputs[1][features[1]["null"]] = 0.5  # null 0.5 + 0.5 = 1, best span 0 + 0 = 0, so they differ by 1
    assert ANSWER.decode(QA, mixed, features, outputs)[1] == ""
    assert replace(ANSWER, null_threshold=1.0).decode(QA, mixed, features, outputs)[1] != ""


def test_answers_remember_what_they_hang_on_and_are_scored_at_the_best_threshold():
    mixed = rows_of(("the cat sings", "cat", 4), ("a dog",), ("two birds", "birds", 4))
    features = features_of(mixed)
    outputs = gold_logits(features)
    outputs[0][features[0]["null"]] = 20.0  # found, but silence is preferred by more than for the second
    found = ANSWER.decode(QA, mixed, features, outputs)
    assert found == ["", "", "birds"] and found[0].span == "cat"
    assert found[2].doubt < 0 < found[0].doubt
    again = pickle.loads(pickle.dumps(found))
    assert again == found and [answer.span for answer in again] == [answer.span for answer in found]
    best = replace(QA, metric="best_em_and_f1")
    assert "best_f1" not in ANSWER.score(QA, found, mixed)
    scores = ANSWER.score(best, found, mixed)
    assert scores["em_and_f1"] == scores["best_em_and_f1"] == pytest.approx(200 / 3)
    found[0].doubt = -1.0  # a threshold between this and the second's silence is right everywhere
    assert ANSWER.score(best, found, mixed)["best_em_and_f1"] == 100.0
    # Plain strings, as other decoders give them: what they say, or silence if that is better.
    assert ANSWER.score(best, ["cat", "", "birds"], mixed)["best_em_and_f1"] == 100.0
    assert ANSWER.score(best, ["x", "x", "x"], mixed)["best_em_and_f1"] == pytest.approx(100 / 3)


def test_the_lowest_null_score_of_the_windows_counts():
    mixed = rows_of(("one two three " * 20, "two", 4), ("a dog",))
    features = features_of(mixed, max_length=24)
    outputs = gold_logits(features)  # all windows but the first point at their null position
    assert features["row"][:].count(0) > 2
    assert ANSWER.decode(QA, mixed, features, outputs)[0] == "two"


alphabet = "abcxyz ,.-北京猫กขพानी한국어العربية😀👍🏽👩\u0301\u0308\u200dßéΩЖ\u00a0ﬁ½㎏ＡÅ"
gaps = st.sampled_from([" ", "  ", ", ", "", "\n", "\u00a0", "("])


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(st.text(alphabet, min_size=1, max_size=8), gaps), min_size=1, max_size=12),
    st.data(),
    st.sampled_from([*TOKENIZERS]),
)
def test_gold_positions_decode_to_exactly_the_gold_answer(parts, data, arch):
    context = "".join(word + gap for word, gap in parts)
    first = data.draw(st.integers(0, len(context) - 1))
    last = data.draw(st.integers(first + 1, min(len(context), first + 12)))
    answer = context[first:last]
    rows = rows_of((context, answer, first))
    kind = replace(ANSWER, max_answer=500, n_best=500)
    feature = (features := features_of(rows, arch, max_length=300, kind=kind))[0]
    found = kind.decode(QA, rows, features, gold_logits(features))[0]
    tokens = [pair for pair in zip(feature["starts"], feature["ends"], strict=True) if pair[0] >= 0]
    # Blanks at its ends are no part of an answer. Format characters have no token: BERT's normaliser drops them.
    inner = range(first + len(answer) - len(answer.lstrip()), first + len(answer.rstrip()))
    letters = [match.span() for match in regex.finditer(r"\X", context)]
    read = [
        letter
        for letter in letters
        if letter[0] < inner.stop and letter[1] > inner.start and any(a <= letter[0] < b for a, b in tokens)
    ]
    if feature["start_positions"] == feature["null"]:
        assert not [letter for letter in read if inner.start <= letter[0] and letter[1] <= inner.stop]
    else:
        expected = [context[read[0][0] : read[-1][1]].strip()]
        if read[0][0] < inner.start and len(read) > 1:  # it begins with a mark, which a token may not read
            expected.append(context[read[1][0] : read[-1][1]].strip())
        splits = any(a < edge < b for a, b in tokens for letter in (read[0], read[-1], *read[1:2]) for edge in letter)
        # A whole English word is one token: the answer may split it.
        assert any(text in found for text in expected) if splits else found in expected
    # An answer in whole letters, each with a token of its own, comes back letter by letter.
    edges = {edge for letter in letters for edge in letter}
    if answer.strip() and {inner.start, inner.stop} <= edges and set(letters) <= set(tokens):
        assert found == answer.strip()


def test_mlqa_is_scored_by_its_own_normalisation_in_each_language():
    rows = rows_of(("das alte Haus", "das Haus", 0))
    mlqa = replace(QA, normalisation="mlqa", languages=("de", "en"))
    # Without the German article "haus" equals "haus"; in English "das haus" shares one word of two: F1 2/3.
    assert kind_for(mlqa, "de").score(mlqa, ["Haus"], rows)["exact_match"] == 100.0
    assert kind_for(mlqa, "en").score(mlqa, ["Haus"], rows)["f1"] == pytest.approx(200 / 3)
    assert kind_for(QA, "de").score(QA, ["Haus"], rows)["exact_match"] == 0.0
    assert load_task("mlqa").normalisation == "mlqa"


def test_shares_of_questions_make_up_the_score():
    rows = rows_of(("the green cat", "the green cat", 0), ("a dog", "dog", 2))
    # "cat" against "green cat": not exact, F1 2/3, so 1/3; "dog" is right: 1.
    assert ANSWER.shares(QA, ["cat", "dog"], rows).tolist() == [[pytest.approx(1 / 3), 1.0], [1.0, 1.0]]
    assert ANSWER.score(QA, ["cat", "dog"], rows)["em_and_f1"] == pytest.approx(200 / 3)
    assert ANSWER.shares(QA, ["x"], rows_of(("a dog", "", 0))) is None


def test_blanked_answers_of_a_test_file_are_not_scored():
    rows = rows_of(("the cat", "", 0), ("a dog", "", 0))
    features = features_of(rows)
    assert features["start_positions"][:] == features["null"][:]
    assert all(ANSWER.decode(QA, rows, features, gold_logits(features)))
    assert ANSWER.score(QA, ["x", "y"], rows) == {}
    assert ANSWER.score(QA, ["x", "y"], rows.remove_columns("answers")) == {}
