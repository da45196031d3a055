"""Similarity of languages: every measure has the value of its definition, counted by hand or by its own library."""

import json

import mirrors
import numpy as np
import pytest
import tiny
from command import run
from places import DATA

pytest.importorskip("rapidfuzz")
pytest.importorskip("scipy")
sacrebleu = pytest.importorskip("sacrebleu")

from hf_stilts.errors import StiltsError  # noqa: E402
from hf_stilts.retrieval.encode import encode  # noqa: E402
from hf_stilts.studies.language_texts import LanguageText, TextPair, text_pairs  # noqa: E402
from hf_stilts.studies.similarity import jensen_shannon, similarity, word_list_distances  # noqa: E402


def pair(first, second, codes=("en", "de"), parallel=False):
    sides = [LanguageText(code, tuple(texts)) for code, texts in zip(codes, (first, second), strict=True)]
    return TextPair(*sides, parallel=parallel)


def one_row(*pairs, **options):
    (row,) = similarity(pairs, **options).pairs
    return row


def files(folder, **texts):
    folder.mkdir(exist_ok=True)
    for code, lines in texts.items():
        (folder / f"set.{code}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_ngrams_are_those_of_words_with_their_edges():
    # " ab ": a, b; " a", "ab", "b "; " ab", "ab "; " ab "
    assert sorted(LanguageText("en", ("AB",)).ngrams) == [" a", " ab", " ab ", "a", "ab", "ab ", "b", "b "]
    assert LanguageText("en", ("ab ab, a",)).ngrams["a"] == 3
    assert max(map(len, LanguageText("en", ("abcdefgh",)).ngrams)) == 5


def test_measures_of_characters_and_words_by_hand():
    row = one_row(pair(["ab"], ["ac"]))
    # Of 8 n-grams each, "a" and " a" are shared; both distributions are uniform, so the divergence is what is not.
    assert row["char_jaccard"] == pytest.approx(2 / 14) and row["char_cosine"] == pytest.approx(2 / 8)
    assert row["char_js"] == pytest.approx(2 / 8)
    assert (row["first_texts"], row["second_characters"], row["script"]) == (1, 2, "own")
    # Types the, cat and the, dog, sat: one of 2 + 3.
    assert one_row(pair(["The cat the"], ["the dog sat"]))["word_overlap"] == pytest.approx(1 / 5)


def test_the_divergence_weighs_counts():
    first, second = np.array([3, 1, 0]) / 4, np.array([1, 0, 1]) / 2
    middle = (first + second) / 2
    terms = [[p * np.log2(p / m) for p, m in zip(side, middle, strict=True) if p] for side in (first, second)]
    assert jensen_shannon({"a": 3, "b": 1}, {"a": 1, "c": 1}) == pytest.approx(1 - sum(map(sum, terms)) / 2)


def test_sub_words_are_the_tokenizers(tmp_path):
    base = tiny.save(tmp_path / "base")
    row = one_row(pair(["the cat"], ["the the the dog book"]), base=base)
    # Types the, cat and the, dog, book; 3 of the 5 running sub-words of the second are in the first.
    assert row["subword_jaccard"] == pytest.approx(1 / 4) and row["subword_overlap"] == pytest.approx(1 / 5)
    assert row["subword_coverage"] == pytest.approx(3 / 5)
    counts = {"the": 1, "cat": 1}, {"the": 3, "dog": 1, "book": 1}
    assert row["subword_js"] == pytest.approx(jensen_shannon(*counts))


def test_chrf_is_sacrebleus_with_the_first_language_as_reference():
    english, german = ["the house is old", "a cat"], ["das Haus ist alt", "eine Katze schläft"]
    row = one_row(pair(english, german, parallel=True))
    assert row["chrf"] == pytest.approx(sacrebleu.corpus_chrf(german, [english]).score / 100)
    assert row["chrf"] != pytest.approx(sacrebleu.corpus_chrf(english, [german]).score / 100)
    assert "chrf" not in one_row(pair(english, german))
    assert "--parallel" in similarity([pair(english, german)]).notes[0]


def test_word_lists(tmp_path):
    # Hand / Hand 0, water / Wasser 2 / 6, two / zwei 3 / 4.
    path = tmp_path / "words.tsv"
    path.write_text("en\tde\tsw\nhand\tHand\t\nwater\tWasser\tmaji\ntwo\tzwei\tmbili\n", encoding="utf-8")
    german, swahili = similarity(words=path).pairs
    assert german["concepts"] == 3 and german["edit_similarity"] == pytest.approx(1 - (0 + 2 / 6 + 3 / 4) / 3)
    assert swahili["concepts"] == 2
    ldn, ldnd = word_list_distances(["hand", "water", "two"], ["hand", "wasser", "zwei"])
    others = [edits("hand", "wasser"), edits("hand", "zwei"), edits("water", "hand"), edits("water", "zwei")]
    others += [edits("two", "hand"), edits("two", "wasser")]
    assert ldnd == german["ldnd"] == pytest.approx(ldn / (sum(others) / 6))
    assert word_list_distances(["a"], ["b"]) == (1.0, None)


def edits(one, other):
    """Levenshtein distance / longer word, by its recurrence."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        new = [number]
        for place, theirs in enumerate(other):
            new.append(min(new[-1] + 1, row[place + 1] + 1, row[place] + (letter != theirs)))
        row = new
    return row[-1] / max(len(one), len(other))


def test_vectors_of_translations(tmp_path):
    folder = tiny.save(tmp_path / "encoder")
    english, german = ["the cat", "a big house", "one river"], ["die cat", "ein Haus", "la ville"]
    row = one_row(pair(english, german, parallel=True), encoder=folder, layer=1)
    model, tokenizer = tiny.AutoModel.from_pretrained(folder), tiny.tokenizer()
    ours, theirs = (encode(model, tokenizer, texts, layers=1).astype(float) for texts in (english, german))
    cosines = (ours @ theirs.T) / np.outer(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1))
    same = np.trace(cosines) / 3
    assert row["model_cosine"] == pytest.approx(same, abs=1e-5)
    assert row["model_contrast"] == pytest.approx(same - (cosines.sum() - 3 * same) / 6, abs=1e-5)
    with pytest.raises(StiltsError, match="--parallel"):
        similarity([pair(english, german)], encoder=folder)


def test_transliteration():
    pytest.importorskip("uroman")
    texts = pair(["mama, 3 times"], ["мама, 3"], codes=("en", "ru"))
    assert one_row(texts)["word_overlap"] == pytest.approx(1 / 5)  # "3" of mama, 3, times and мама, 3
    row = one_row(texts, transliterate=True)
    assert row["script"] == "Latn" and row["word_overlap"] == pytest.approx(2 / 5)
    assert texts.second.in_latin().texts == ("mama, 3",)


def test_files_are_known_by_the_end_of_their_names(tmp_path):
    folder = files(tmp_path / "texts", eng=["a", "b", "b"], **{"zho-CN": ["x", "y", "y"]}, fil=["p", "q", "q"])
    (folder / "README.md").write_text("no text")
    pairs = text_pairs(folder)
    assert {(each.first.language, each.second.language) for each in pairs} == {("en", "zh"), ("en", "tl")}
    assert pairs[0].first.texts == ("a", "b") and not pairs[0].parallel
    (chosen,) = text_pairs(folder, languages=["tl"], parallel=True, limit=2)
    assert chosen.parallel and chosen.second.texts == ("p", "q")
    assert len(text_pairs(folder, to=["en", "tl", "zh"])) == 3  # each pair once
    with pytest.raises(StiltsError, match="has no text file in 'sw'"):
        text_pairs(folder, languages=["sw"])
    files(folder, eng=["a"])
    with pytest.raises(StiltsError, match="as many"):
        text_pairs(folder, parallel=True)
    (folder / "other.en.txt").write_text("a\n")
    with pytest.raises(StiltsError, match="two files in 'en'"):
        text_pairs(folder)
    with pytest.raises(FileNotFoundError):
        text_pairs(tmp_path / "none")


def test_rows_of_tasks(tmp_path):
    mirror = mirrors.build(tmp_path, {"xquad": {"test": ["en", "de"]}, "tatoeba": {"test": ["de", "fi"]}}, count=3)
    (found,) = text_pairs("xquad", data_dir=mirror)
    assert (found.first.language, found.second.language, found.parallel) == ("en", "de", False)
    assert "who reads in the house" in found.second.texts
    german, finnish = text_pairs("tatoeba", data_dir=mirror)
    assert german.parallel and german.first.language == "en"
    assert german.first.texts == tuple(f"{text} is" for text in german.second.texts)
    assert finnish.second.language == "fi" and len(text_pairs("tatoeba", languages=["fi"], data_dir=mirror)) == 1
    with pytest.raises(StiltsError, match="English alone"):
        text_pairs("tatoeba", to=["fi"], data_dir=mirror)


def test_tables_are_joined_in_either_order(tmp_path):
    table = tmp_path / "uriel.tsv"
    table.write_text("first\tsecond\tsyntactic\nde\ten\t0.42\nen\tfr\t0.4569\n", encoding="utf-8")
    row = one_row(pair(["a"], ["b"]), tables=[table])
    assert row["syntactic"] == 0.42 and row["second"] == "de"
    alone = similarity(tables=[table])
    assert [each["syntactic"] for each in alone.pairs] == [0.42, 0.4569] and alone.measures == ["syntactic"]
    again = similarity(tables=[similarity([pair(["a"], ["b"])]).save(tmp_path / "measures.jsonl"), table])
    assert again.pairs[0]["syntactic"] == 0.42 and again.pairs[0]["first_texts"] == 1
    assert again.pairs[1]["char_jaccard"] is None
    assert again.notes == [f"{tmp_path / 'measures.jsonl'} has 1 of the 2 pairs."]
    table.write_text("first\tsecond\tsyntactic\nde\ten\tfar\n")
    with pytest.raises(StiltsError, match=r"uriel.tsv, row 1, syntactic: found 'far'"):
        similarity(tables=[table])
    table.write_text("one\tother\nde\ten\n")
    with pytest.raises(StiltsError, match="expected first, second"):
        similarity(tables=[table])
    with pytest.raises(StiltsError, match="No pair"):
        similarity()


def test_command(tmp_path):
    folder = files(tmp_path / "texts", en=["the old house", "a cat"], nl=["het oude huis", "een kat"])
    code, text = run("similarity", folder, "--parallel", "--output", tmp_path / "measures.jsonl", "--json")
    found = json.loads(text)["pairs"][0]
    assert code == 0 and found["second"] == "nl" and 0 < found["chrf"] < 1
    assert json.loads((tmp_path / "measures.jsonl").read_text()) == found
    code, text = run("similarity", "--table", tmp_path / "measures.jsonl")
    assert code == 0 and f"{found['char_cosine']:.3f}" in text


def test_related_languages_are_more_alike_in_real_text():
    folder = DATA / "ntrex"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    pairs = text_pairs(folder, to=["nl"], languages=["af", "fi"], parallel=True, limit=100)
    report = similarity(pairs)
    near, far = report.pairs
    assert (near["second"], far["second"], near["first_texts"]) == ("af", "fi", 100)
    assert all(near[name] > far[name] for name in report.measures) and len(report.measures) == 5
