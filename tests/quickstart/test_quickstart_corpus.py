"""The made-up world: its data sets say what its grammar says, in every language, and the same seed says it again."""

import random
from collections import Counter
from itertools import combinations
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hf_stilts.data.load import load
from hf_stilts.quickstart import corpus
from hf_stilts.quickstart.grammar import CLASSES, PARTICLES, SYNTHETIC_LANGUAGES, TAGS, Grammar, Scene, join

OTHERS = [code for code in SYNTHETIC_LANGUAGES if code != "en"]


@pytest.fixture(autouse=True, scope="module")
def few_rows():
    """A world with fewer training rows, which are drawn alike."""
    few = {name: {split: min(count, 400) for split, count in splits.items()} for name, splits in corpus.ROWS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "ROWS", few)
        yield


@pytest.fixture(scope="module")
def data(few_rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    corpus.build(folder, seed=3)
    return folder


@pytest.fixture(scope="module")
def meaning():
    """Language -> word form -> concept, from the lexicons and the endings; built here, without `Grammar.tell`."""
    readings = {}
    for code, lexicon in Grammar(3).lexicons.items():
        synthetic = SYNTHETIC_LANGUAGES[code]
        endings = {"", synthetic.plural, synthetic.accusative, synthetic.plural + synthetic.accusative, synthetic.past}
        readings[code] = {word + ending: concept for concept, word in lexicon.items() for ending in endings}
        readings[code] |= {word: concept for concept, word in lexicon.items()}
    return readings


def rows(data, config, split):
    return pq.read_table(data / corpus.DATASET / config / f"{split}-00000-of-00001.parquet").to_pylist()


def concepts(sentence, reading):
    """What a sentence says, whatever the order; articles say nothing."""
    words = sentence.replace(".", "").replace("?", "").split()
    return Counter(reading[word] for word in words if reading[word] != "the")


@pytest.mark.slow
def test_same_seed_same_bytes_other_seed_other_words(data, tmp_path):
    again, other = corpus.build(tmp_path / "again", seed=3), corpus.build(tmp_path / "other", seed=4)
    files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert len(files) > 50
    assert all((again / file).read_bytes() == (data / corpus.DATASET / file).read_bytes() for file in files)
    text = Path("text.en/train-00000-of-00001.parquet")
    assert (other / text).read_bytes() != (again / text).read_bytes()


def test_the_loader_reads_every_task(data):
    for name, task in corpus.tasks().items():
        split = "validation" if name == "world_text" else "test"
        config = name.removeprefix("world_")
        for language in (task.languages[0], task.languages[-1]):
            found = load(task, split, language, data_dir=data)
            assert len(found) == (1 if name == "world_mining" else corpus.ROWS[config][split])


def test_only_english_has_training_rows_of_a_task():
    assert set(corpus.tasks()["world_nli"].languages) == set(SYNTHETIC_LANGUAGES)
    trained = [(config, split) for config, split, _ in corpus._rows(Grammar(3)) if split == "train"]
    assert sorted(trained) == sorted(
        [(f"text.{code}", "train") for code in SYNTHETIC_LANGUAGES]
        + [(f"{name}.en", "train") for name in ("nli", "qa", "pos")]
    )


def test_languages_share_names_and_loans_and_no_other_word():
    lexicons = Grammar(3).lexicons
    for one, two in combinations(SYNTHETIC_LANGUAGES, 2):
        for concept, word in lexicons[one].items():
            if concept.startswith(("person", "place", "number")):
                assert lexicons[two][concept] == word
            if concept in PARTICLES:
                assert word not in lexicons[two].values()
        shared = {concept for concept, word in lexicons[one].items() if lexicons[two][concept] == word}
        assert set(lexicons[one].values()) & set(lexicons[two].values()) == {lexicons[one][name] for name in shared}
        assert 32 + 16 + 8 <= len(shared) < 0.6 * len(lexicons[one])  # names, digits; some loans
    assert all(len(set(lexicon.values())) == len(lexicon) for lexicon in lexicons.values())


@pytest.mark.parametrize("code", list(SYNTHETIC_LANGUAGES))
def test_each_language_keeps_its_order(code):
    scene = Scene("worker1", "action2", "thing3", colour="colour4", place="place5")
    words = Grammar(3).tell(scene, code)
    roles = [word.role for word in words if word.role in ("agent", "action", "thing") and word.tag in ("NOUN", "VERB")]
    assert roles == [{"S": "agent", "V": "action", "O": "thing"}[letter] for letter in SYNTHETIC_LANGUAGES[code].order]
    tags = [word.tag for word in words]
    noun, adjective, place, adposition = (
        next(i for i, word in enumerate(words) if (word.tag, word.role) == wanted)
        for wanted in (("NOUN", "thing"), ("ADJ", "thing"), ("PROPN", "place"), ("ADP", ""))
    )
    assert (adjective > noun) == SYNTHETIC_LANGUAGES[code].adjective_last
    assert (adposition > place) == SYNTHETIC_LANGUAGES[code].postposition
    assert ("PART" in tags) == SYNTHETIC_LANGUAGES[code].article
    assert join(words).endswith(".") and tags[-1] == "PUNCT"


def test_bitext_and_hidden_pairs_say_the_same(data, meaning):
    for code in OTHERS:
        for row in rows(data, f"bitext.{code}", "test"):
            assert concepts(row["source"], meaning[code]) == concepts(row["target"], meaning["en"])
        for split, (ours, english, hidden) in corpus.MINING.items():
            (row,) = rows(data, f"mining.{code}", split)
            source = dict(zip(row["source_ids"], row["source"], strict=True))
            target = dict(zip(row["target_ids"], row["target"], strict=True))
            assert (len(source), len(target), len(row["gold"])) == (ours, english, hidden)
            said = {key: concepts(text, meaning[code]) for key, text in source.items()}
            heard = {key: concepts(text, meaning["en"]) for key, text in target.items()}
            assert all(said[one] == heard[two] for one, two in row["gold"])
            # Two scenes differ in a concept or in who has which quality; no other pair may be a translation.
            equal = sum(one == two for one in said.values() for two in heard.values())
            assert hidden <= equal <= hidden + 3


def test_stories_are_not_parallel(data, meaning):
    told = {
        code: {
            frozenset(concepts(text, meaning[code]).items())
            for row in rows(data, f"text.{code}", "train")
            for text in [row["text"]]
        }
        for code in SYNTHETIC_LANGUAGES
    }
    for code in OTHERS:
        assert len(told[code] & told["en"]) < 0.01 * len(told["en"])


def test_answers_stand_where_they_say(data, meaning):
    for code in SYNTHETIC_LANGUAGES:
        for row in rows(data, f"qa.{code}", "test"):
            (start,), (text,) = row["answers"]["answer_start"], row["answers"]["text"]
            assert row["context"][start : start + len(text)] == text
            assert meaning[code][text.split()[0]] not in PARTICLES
            # The question repeats the rest of one sentence: nothing of it but the question word is new.
            asked = concepts(row["question"], meaning[code])
            answered = [concepts(sentence, meaning[code]) for sentence in row["context"].split(".") if text in sentence]
            assert any(len(asked - sentence) == 1 for sentence in answered)


def test_labels_follow_from_the_sentences(data, meaning):
    counts = Counter()
    for row in rows(data, "nli.en", "train"):
        premise, hypothesis = (concepts(row[side], meaning["en"]) for side in ("text", "text_pair"))
        new = [concept for concept in hypothesis - premise if not concept.startswith("kind")]
        counts[row["label"]] += 1
        # Less said is entailed; one thing added or changed is neutral or contradicted (kinds replace their things).
        assert bool(new) == (row["label"] != "entailment") or row["label"] == "neutral"
        if row["label"] == "contradiction":
            assert len(new) == 1 and (new[0] == "not" or new[0].rstrip("0123456789") in ("number", "colour", "place"))
    assert min(counts.values()) > 0.3 * counts.total()


def test_tags_are_those_of_the_concepts(data, meaning):
    tag_of = {name: tag for name, (_, tag) in CLASSES.items()} | PARTICLES
    seen = set()
    for code in SYNTHETIC_LANGUAGES:
        for row in rows(data, f"pos.{code}", "test"):
            for token, tag in zip(row["tokens"], row["tags"], strict=True):
                if tag != "PUNCT":
                    assert tag == tag_of[meaning[code][token].rstrip("0123456789")]
                seen.add(tag)
    assert seen == set(TAGS)


def test_tokenizer_survives_saving_and_keeps_offsets(data, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = corpus.tokenizer(data)
    assert tokenizer.get_vocab() == corpus.tokenizer(data).get_vocab()
    assert tokenizer.convert_tokens_to_ids(list(corpus.SPECIALS)) == [0, 1, 2, 3, 4]
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for code in SYNTHETIC_LANGUAGES:
        for row in rows(data, f"qa.{code}", "test")[:20]:
            encoded = again(row["question"], row["context"], return_offsets_mapping=True)
            assert encoded["input_ids"] == tokenizer(row["question"], row["context"])["input_ids"]
            assert again.unk_token_id not in encoded["input_ids"]
            (start,), (text,) = row["answers"]["answer_start"], row["answers"]["text"]
            spans = [
                span for span, side in zip(encoded["offset_mapping"], encoded.sequence_ids(), strict=True) if side == 1
            ]
            assert start in [span[0] for span in spans] and start + len(text) in [span[1] for span in spans]
        for row in rows(data, f"pos.{code}", "test")[:20]:
            as_words = again(row["tokens"], is_split_into_words=True)["input_ids"]
            assert as_words == again(" ".join(row["tokens"]))["input_ids"]
    one, two = again("dal")["input_ids"][1:-1], again("tonur")["input_ids"][1:-1]
    assert again("dal", "tonur")["input_ids"] == [0, *one, 2, 2, *two, 2]


@pytest.mark.slow
def test_a_build_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    built = corpus.build(tmp_path, seed=3)
    before = (built / "README.md").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(corpus, "_card", fail)
    with pytest.raises(OSError, match="disk full"):
        corpus.build(tmp_path, seed=4)
    assert (built / "README.md").read_bytes() == before
    assert [path.name for path in built.parent.iterdir()] == ["world"]


def test_tokenizer_without_a_world_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"corpus\.build"):
        corpus.tokenizer(tmp_path)


def test_some_things_go_with_an_action():
    made = Grammar(3)
    drawn = Counter(made.like(random.Random(i), "action0", "thing") for i in range(500))
    assert drawn.most_common(1)[0][1] > 3 * 500 / 32  # far from uniform over 32 things
