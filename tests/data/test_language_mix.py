"""Shares of languages: exact counts, the same rows from the same arguments, errors that say what to type."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from language_rows import PAIRS, QUESTIONS, pair, question, store

from hf_stilts.data.derived import write_made
from hf_stilts.data.language_mix import counts, mix_languages, shares
from hf_stilts.errors import StiltsError

CODES = ("en", "de", "ru", "sw", "te")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    root = tmp_path_factory.mktemp("mirror")
    english, swahili = ([pair(n, language) for n in range(rows)] for language, rows in (("en", 40), ("sw", 30)))
    return store(root, PAIRS, {"en": {"train": english}, "sw": {"train": swahili}})


def mixed(mirror, languages, total=None, **more):
    return mix_languages(PAIRS, languages, total, data_dir=mirror, **more)


@given(
    weights=st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any),
    total=st.integers(0, 10_000),
)
def test_counts_are_the_largest_remainders(weights, total):
    of = {code: Fraction(weight, sum(weights)) for code, weight in zip(CODES, weights, strict=False)}
    found = counts(of, total)
    assert sum(found.values()) == total
    for code, share in of.items():
        assert abs(found[code] - share * total) < 1
    rounded_up = [share * total % 1 for code, share in of.items() if found[code] > share * total]
    left = [share * total % 1 for code, share in of.items() if found[code] < share * total]
    assert min(rounded_up, default=1) >= max(left, default=0)


def test_decimal_shares_are_exact():
    # As binary floats 0.29 * 100 is 28.999999999999996, whose floor is 28.
    assert counts(shares({"en": 0.29, "sw": 0.71}), 100) == {"en": 29, "sw": 71}
    assert counts(shares("en=0.25,sw=0.75"), 10) == {"en": 3, "sw": 7}  # 2.5 and 7.5: the first is rounded up
    assert shares({"en": 0.333, "de": 0.333, "sw": 0.333})["en"] == Fraction(1, 3)


@pytest.mark.parametrize(
    "languages", ["", "en,en", "en=0.5", "en=0.5,sw=x", "en=1.5,sw=-0.5", "en=0.5,sw", {"en": 0.5, "sw": 0.6}, {}]
)
def test_shares_that_mean_nothing(languages):
    with pytest.raises(StiltsError, match="languages=.*expected.*--languages en=0.5,sw=0.5"):
        shares(languages)


@settings(deadline=None, max_examples=20)
@given(percent=st.integers(0, 100), total=st.integers(1, 30), seed=st.integers(0, 3))
def test_a_mixture_has_the_exact_share_and_no_row_twice(mirror, percent, total, seed):
    languages = {"en": percent / 100, "sw": 1 - percent / 100}
    rows = mixed(mirror, languages, total, seed=seed)
    of = shares(languages)
    assert Counter(rows["language"]) == Counter({c: n for c, n in counts(of, total).items() if n})
    assert len(set(rows["text"])) == total
    assert all(text.startswith(code) for text, code in zip(rows["text"], rows["language"], strict=True))
    assert rows.to_list() == mixed(mirror, languages, total, seed=seed).to_list()


def test_an_example_is_taken_in_one_language_while_there_are_others(mirror):
    numbers = [text.split()[-1] for text in mixed(mirror, "en,sw", 30)["text"]]
    assert len(set(numbers)) == 30


def test_where_there_are_none_left_it_is_taken_again_and_said(mirror, caplog):
    numbers = [text.split()[-1] for text in mixed(mirror, {"en": 4 / 7, "sw": 3 / 7}, 70)["text"]]
    assert len(set(numbers)) == 40
    assert "30 of 70 examples are there in more than one language" in caplog.text


def test_rows_of_a_smaller_total_are_among_those_of_a_larger(mirror):
    assert set(mixed(mirror, "sw", 10)["text"]) < set(mixed(mirror, "sw", 20)["text"])


def test_the_total_is_equal_over_all_shares_of_the_same_languages(mirror):
    assert [len(mixed(mirror, {"en": 1 - share, "sw": share})) for share in (0, 0.5, 1)] == [30] * 3
    assert len(mixed(mirror, "en")) == 40


def test_another_seed_gives_other_rows(mirror):
    assert set(mixed(mirror, "en", 10, seed=0)["text"]) != set(mixed(mirror, "en", 10, seed=1)["text"])


def test_too_few_rows_say_how_many_are_possible(mirror):
    with pytest.raises(StiltsError, match=r"has 30 rows of train in 'sw'; a share of 0.5 of 80 needs 40.*--limit 60"):
        mixed(mirror, "en=0.5,sw=0.5", 80)
    assert len(mixed(mirror, "en=0.5,sw=0.5", 60)) == 60
    with pytest.raises(StiltsError, match="total=0"):
        mixed(mirror, "en", 0)


def test_a_language_that_is_nowhere_says_how_to_make_it(mirror):
    with pytest.raises(StiltsError, match=r"no language 'de'. It has: en, sw.*hf-stilts data translate pairs --to de"):
        mixed(mirror, "en,de")


def test_made_rows_count_as_the_examples_that_they_were_made_from(tmp_path):
    """Ten English questions and their translations: half and half, and every one of the ten examples once."""
    context = "A cat and a dog."
    english = [question(n, context, "cat") for n in range(10)]
    german = [{**row, "context": "Katze", "answers": {"text": ["Katze"], "answer_start": [0]}} for row in english]
    root = store(tmp_path, QUESTIONS, {"en": {"train": english}})
    write_made(QUESTIONS, "de-t-en", {"train": german}, root, {"by": "hand"})
    rows = mix_languages(QUESTIONS, {"en": 0.5, "de": 0.5}, data_dir=root)
    assert Counter(rows["language"]) == {"en": 5, "de": 5}
    assert sorted(rows["id"]) == sorted(row["id"] for row in english)
    assert {row["context"] for row in rows if row["language"] == "de"} == {"Katze"}
