"""UD treebanks as XTREME reads them: fused forms, one tag each, and what is dropped; cases worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_stilts.data.load import load, splits
from hf_stilts.dataset_scripts import build
from hf_stilts.dataset_scripts.udpos import DEFAULT_PRECEDENCE, PRECEDENCE, TAGS, Sentence, fuse
from hf_stilts.errors import StiltsError


def conllu(*words):
    """A sentence of (id, form, tag, head[, enhanced]) in CoNLL-U's ten columns."""
    lines = ["# text = made by hand"]
    for each, form, tag, head, *enhanced in words:
        lines.append("\t".join([str(each), form, "_", tag, "_", "_", str(head), "_", *(enhanced or ["_"]), "_"]))
    return "\n".join([*lines, "", ""])


# "im Haus": in and dem both hang on Haus, so both have 2 words above them (Haus, the root): ADP goes before DET.
IM_HAUS = conllu(("1-2", "im", "_", "_"), (1, "in", "ADP", 3), (2, "dem", "DET", 3), (3, "Haus", "NOUN", 0))


@pytest.fixture
def convert(tmp_path):
    """Build from {file: text}; what `load` then gives as (tokens, tags by name) of every sentence."""

    def run(files, language="de", split="test", **options):
        for file, text in files.items():
            (tmp_path / "raw" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "raw" / file).write_text(text, encoding="utf-8")
        build("udpos", tmp_path / "raw", tmp_path / "out", languages=[language], options=options)
        rows = load("udpos", split, language, data_dir=tmp_path / "out")
        return [(row["tokens"], [TAGS[tag] for tag in row["tags"]]) for row in rows]

    return run


def test_a_fused_form_replaces_its_words(convert):
    assert convert({"UD_German-GSD/de_gsd-ud-test.conllu": IM_HAUS}) == [(["im", "Haus"], ["ADP", "NOUN"])]


def test_uds_own_words_on_request(convert):
    found = convert({"UD_German-GSD/de_gsd-ud-test.conllu": IM_HAUS}, fused=False)
    assert found == [(["in", "dem", "Haus"], ["ADP", "DET", "NOUN"])]


def test_the_highest_word_gives_the_tag(convert):
    # "dámelo": da is the root, me and lo hang on it; PRON would win by no list either, VERB is higher up.
    words = [("1-3", "dámelo", "_", "_"), (1, "da", "INTJ", 0), (2, "me", "PRON", 1), (3, "lo", "PRON", 1)]
    assert convert({"es_x-ud-test.conllu": conllu(*words)}, "es") == [(["dámelo"], ["INTJ"])]


@pytest.mark.parametrize(("language", "tag"), [("it", "ADV"), ("es", "PRON"), ("fr", "PRON"), ("de", "PRON")])
def test_equally_high_words_are_ranked_by_language(convert, language, tag):
    words = [("1-2", "ce", "_", "_"), (1, "ci", "PRON", 3), (2, "ne", "ADV", 3), (3, "va", "VERB", 0)]
    found = convert({f"{language}_x-ud-test.conllu": conllu(*words)}, language)
    assert found == [(["ce", "va"], [tag, "VERB"])]


def test_a_tag_that_a_list_does_not_rank_comes_last(convert):
    words = [("1-2", "x", "_", "_"), (1, "a", "NOUN", 3), (2, "b", "DET", 3), (3, "c", "VERB", 0)]
    assert convert({"es_x-ud-test.conllu": conllu(*words)}, "es")[0][1] == ["DET", "VERB"]  # Spanish ranks no NOUN


def test_links_of_the_enhanced_graph_count(convert):
    # Both words hang on 3, so both have {3, 0} above them and ADP would win; the link of 1 to 4 adds one word above it.
    tree = [("1-2", "im", "_", "_"), (2, "dem", "DET", 3), (3, "Haus", "NOUN", 0), (4, "da", "ADV", 3)]
    plain = conllu(tree[0], (1, "in", "ADP", 3), *tree[1:])
    linked = conllu(tree[0], (1, "in", "ADP", 3, "3:case|4:case:in|5.1:x"), *tree[1:])
    found = convert({"de_x-ud-test.conllu": plain + linked})
    assert [tags[0] for _, tags in found] == ["ADP", "DET"]


def test_sentences_without_text_are_dropped_by_xtremes_rule(convert):
    # Kept if no word is "_", or fewer than all but one: 1 of 3 stays, 2 of 3, 1 of 2 and 1 of 1 go.
    def sentence(*forms):
        return conllu(*((n, form, "X", n - 1) for n, form in enumerate(forms, start=1)))

    text = sentence("a", "_", "c") + sentence("_", "_", "c") + sentence("_", "b") + sentence("_") + sentence("d")
    assert [tokens for tokens, _ in convert({"de_x-ud-test.conllu": text})] == [["a", "_", "c"], ["d"]]


def test_blanks_and_zero_width_joiners_inside_words(convert):
    text = conllu((1, "10 000", "NUM", 2), (2, "می\u200cرود", "VERB", 0))
    assert convert({"fa_x-ud-test.conllu": text}, "fa") == [(["10000", "میرود"], ["NUM", "VERB"])]
    assert convert({"fa_x-ud-test.conllu": text}, "fa", fused=False)[0][0] == ["10 000", "می\u200cرود"]


def test_treebanks_are_joined_in_the_order_of_their_names(convert, tmp_path):
    one = {each: conllu((1, each, "X", 0)) for each in ("gsd", "pud", "nyuad")}
    files = {
        "UD_Z/ar_gsd-ud-test.conllu": one["gsd"],
        "UD_A/ar_pud-ud-test.conllu": one["pud"],
        "UD_Arabic-NYUAD/ar_nyuad-ud-test.conllu": one["nyuad"],  # without text
        "UD_A/ar_pud-ud-dev.conllu": one["pud"],
        "UD_B/arx_x-ud-test.conllu": one["gsd"],  # another language
    }
    assert [tokens[0] for tokens, _ in convert(files, "ar")] == ["gsd", "pud"]
    assert splits("udpos", "ar", tmp_path / "out") == ("validation", "test")


@pytest.mark.parametrize(("language", "release"), [("de", "2.5"), ("lt", "2.7"), ("wo", "2.7")])
def test_added_languages_of_xtreme_r_are_read_from_the_later_release(convert, language, release):
    files = {
        f"ud-treebanks-v{each}/UD_X/{language}_x-ud-test.conllu": conllu((1, each, "X", 0)) for each in ("2.5", "2.7")
    }
    assert convert(files, language) == [([release], ["X"])]


def test_empty_nodes_are_no_words_and_the_last_sentence_needs_no_blank_line(convert):
    text = conllu((1, "a", "X", 0), ("1.1", "ghost", "VERB", "_"), (2, "b", "X", 1)).rstrip("\n")
    assert convert({"de_x-ud-test.conllu": text}) == [(["a", "b"], ["X", "X"])]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (IM_HAUS.replace("Haus\t", "Haus", 1), "line 5: found 9 columns; expected 10"),
        (IM_HAUS.replace("3\tHaus", "4\tHaus"), "line 5: found word number '4'; expected 3"),
        (IM_HAUS.replace("NOUN", "N"), "line 5: found tag 'N'; expected one of ADJ"),
        (IM_HAUS.replace("1-2", "1-9"), "line 6: found a sentence of 3 words with 'im' for its words 1 to 9"),
        (IM_HAUS.replace("1-2", "2-1"), "line 2: found word number '2-1'"),
        (IM_HAUS.replace("\t3\t", "\t8\t"), "line 6: found a sentence of 3 words with a head 8"),
    ],
)
def test_a_fault_is_named_and_nothing_is_written(convert, tmp_path, text, said):
    with pytest.raises(StiltsError, match=f"de_x-ud-test.conllu, {said}"):
        convert({"de_x-ud-test.conllu": text})
    assert not list((tmp_path / "out").rglob("*.*"))


@st.composite
def sentence_trees(draw):
    size = draw(st.integers(1, 8))
    heads = [{draw(st.integers(0, word - 1))} for word in range(1, size + 1)]  # a head before its word: always a tree
    tags = draw(st.lists(st.sampled_from(TAGS), min_size=size, max_size=size))
    fused, word = {}, 1
    while word <= size:
        last = draw(st.integers(word, size))
        if last > word:
            fused[word] = (last, f"fused{word}")
        word = last + 1
    return Sentence([f"w{n}" for n in range(1, size + 1)], tags, heads, fused)


@settings(deadline=None)
@given(sentence_trees(), st.sampled_from([DEFAULT_PRECEDENCE, *PRECEDENCE.values()]))
def test_fusing_keeps_every_word_once(sentence, precedence):
    tokens, tags = fuse(sentence, precedence)
    spans = [range(first, last + 1) for first, (last, _) in sentence.fused.items()]
    inside = {word for span in spans for word in span}
    alone = [word for word in range(1, len(sentence.forms) + 1) if word not in inside]
    starts = sorted([*(span[0] for span in spans), *alone])
    assert tokens == [sentence.fused[word][1] if word in sentence.fused else f"w{word}" for word in starts]
    for word, tag in zip(starts, tags, strict=True):
        span = range(word, sentence.fused.get(word, (word,))[0] + 1)
        assert tag in {sentence.tags[each - 1] for each in span}
