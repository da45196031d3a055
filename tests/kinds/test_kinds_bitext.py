"""Bitext retrieval and mining: the scores of an encoder as it is, in hand-made cases."""

import numpy as np
import pytest
import tiny
from datasets import Dataset

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import bitext_mining, bitext_retrieval, load_retrieval_kind
from hf_stilts.kinds.vectors import default_layer
from hf_stilts.task import Task

FIND, MINE = load_retrieval_kind("bitext-retrieval"), load_retrieval_kind("bitext-mining")
TATOEBA = Task(kind="bitext-retrieval", dataset="x/y", name="tatoeba")
BUCC = Task(kind="bitext-mining", dataset="x/y", name="bucc", metric="f1")


@pytest.fixture
def by_name(monkeypatch):
    """An encoder whose vector for a sentence is its angle in degrees: the sentence itself. Records how it was asked."""
    asked = []

    def encode(model, tokenizer, sentences, layers=None, **settings):
        asked.append({"layers": layers, **settings})
        angles = np.radians([float(sentence.split()[-1]) for sentence in sentences])
        return np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)

    monkeypatch.setattr(bitext_retrieval, "encode", encode)
    monkeypatch.setattr(bitext_mining, "encode", encode)
    return asked


def test_retrieval_counts_both_directions(by_name):
    rows = Dataset.from_dict({"source": ["x 0", "x 50", "x 60"], "target": ["y 10", "y 12", "y 100"]})
    found = FIND.evaluate(TATOEBA, rows, None, None, layer=3)
    # English queries 10, 12, 100: nearest of 0, 50, 60 are 0, 0, 60: right, wrong, right.
    # Queries 0, 50, 60: nearest of 10, 12, 100 are 10, 12 (38 off), 100 (40 off) and not 12 (48 off): all right.
    assert found.scores == {"accuracy": pytest.approx(200 / 3), "reverse_accuracy": 100.0}
    assert found.settings == {"layer": 3, "pooling": "mean"}
    assert (found.ids, found.predictions, found.shares.tolist()) == ([0, 1, 2], [0, 0, 2], [[1, 1], [0, 1], [1, 1]])
    assert by_name == [{"layers": 3, "pooling": "mean"}] * 2


def test_every_hidden_state_scores_as_if_it_had_been_asked_for():
    model, tokenizer = tiny.encoder(), tiny.tokenizer()
    words = ["house", "river", "a red tree", "bread", "night and day", "seven", "good morning", "snow"]
    rows = Dataset.from_dict({"source": words, "target": [f"{word} today" for word in words]})
    found = FIND.evaluate(TATOEBA, rows, model, tokenizer, every_layer=True)
    count = model.config.num_hidden_layers + 1
    alone = [FIND.evaluate(TATOEBA, rows, model, tokenizer, layer=layer) for layer in range(count)]
    assert list(found.by_layer) == [each.scores["accuracy"] for each in alone]
    assert found.scores == alone[found.settings["layer"]].scores and alone[0].by_layer == []


def test_a_quick_look_keeps_gold_pairs_and_as_many_sentences_as_asked_for():
    ids = [str(number) for number in range(20)]
    row = {
        "source_ids": ids,
        "source": [f"x {each}" for each in ids],
        "target_ids": ids,
        "target": [f"y {each}" for each in ids],
    }
    rows = Dataset.from_list([{**row, "gold": [["15", "2"], ["16", "18"], ["17", "3"]]}])
    found = MINE.first(rows, 4)
    assert found.features == rows.features
    assert found[0]["source"] == ["x 0", "x 1", "x 15", "x 16"] and found[0]["target"] == ["y 0", "y 1", "y 2", "y 18"]
    assert found[0]["gold"] == [["15", "2"], ["16", "18"]]
    assert MINE.first(rows, 100)[0] == rows[0]
    assert MINE.first(rows, 1)[0]["gold"] == [["15", "2"]]


def test_retrieval_with_a_real_encoder_finds_equal_sentences():
    sentences = ["the cat", "a dog reads", "where is the river", "北京"]
    rows = Dataset.from_dict({"source": sentences, "target": sentences})
    for arch in tiny.ARCHITECTURES:
        scores = FIND.evaluate(TATOEBA, rows, tiny.encoder(arch), tiny.tokenizer(arch), pooling="cls", layer=2).scores
        assert scores["accuracy"] == scores["reverse_accuracy"] == 100.0, arch


def test_no_pair_is_an_error(by_name):
    with pytest.raises(StiltsError, match="tatoeba has no sentence pair"):
        FIND.evaluate(TATOEBA, Dataset.from_dict({"source": [], "target": []}), None, None, layer=1)


@pytest.mark.parametrize(("depth", "layer"), [(12, 8), (24, 14), (6, 4), (2, 1), (36, 24)])
def test_the_layer_is_the_published_one_or_two_thirds_of_the_depth(depth, layer):
    config = tiny.config("bert", num_hidden_layers=depth)
    assert default_layer(type("Model", (), {"config": config})()) == layer
    assert default_layer(type("Model", (), {"config": tiny.config("mt5", num_layers=depth)})()) == layer


def bucc(source, target, gold):
    names = {"source_ids": [f"s{angle}" for angle in source], "target_ids": [f"t{angle}" for angle in target]}
    texts = {"source": [f"s {angle}" for angle in source], "target": [f"t {angle}" for angle in target]}
    pairs = [[f"s{a}", f"t{b}"] for a, b in gold]
    return Dataset.from_dict({name: [value] for name, value in {**names, **texts, "gold": pairs}.items()})


def test_mining_tunes_here_unless_told_otherwise(by_name):
    rows = bucc([0, 40, 80], [1, 44, 60], [(0, 1), (80, 60)])
    # Pairs by falling margin: 0-1 (1.43), 80-60 (1.31), 40-44 (1.14). The first two are gold: cut behind them, F1 = 1.
    tuned = MINE.evaluate(BUCC, rows, None, None, layer=5)
    assert tuned.scores == {"f1": 100.0, "precision": 100.0, "recall": 100.0}
    assert (tuned.settings["layer"], tuned.settings["threshold_from"]) == (5, "tuned here")
    given = MINE.evaluate(BUCC, rows, None, None, layer=5, threshold=-10.0)
    # All three are kept: P = 2/3, R = 1, F1 = 4/5; by source sentence 2/2, 0/1 and 2/2 of F1.
    assert (given.settings["threshold"], given.settings["threshold_from"]) == (-10.0, "given")
    assert list(given.scores.values()) == pytest.approx([80.0, 200 / 3, 100.0])
    assert list(zip(given.ids, given.predictions, given.shares.tolist(), strict=True)) == [
        ("s0", "t1", [2, 2]), ("s40", "t44", [0, 1]), ("s80", "t60", [2, 2]),
    ]  # fmt: skip


def test_mining_takes_its_threshold_from_another_split(by_name):
    dev = bucc([0, 40, 80], [1, 44, 60], [(0, 1)])
    test = bucc([0, 40, 80], [1, 44, 60], [(0, 1), (80, 60)])
    found = MINE.evaluate(BUCC, test, None, None, layer=1, tune_on=dev)
    # On dev the best cut is behind the first pair; on test that finds 1 of 2: P = 1, R = 1/2, F1 = 2/3.
    assert list(found.scores.values()) == pytest.approx([200 / 3, 100.0, 50.0])
    # What gold has and nothing was mined for counts against it: 2/2 and 0/1.
    assert (found.predictions, found.shares.tolist()) == (["t1", None], [[2, 2], [0, 1]])
    there = MINE.evaluate(BUCC, dev, None, None, layer=1).settings["threshold"]
    assert (found.settings["threshold"], found.settings["threshold_from"]) == (there, "tuned elsewhere")
    named = MINE.evaluate(BUCC, test, None, None, layer=1, tune_on=dev, tune_split="validation")
    assert named.settings["threshold_from"] == "tuned on validation"


def test_sentences_that_occur_twice_are_not_mined(by_name):
    rows = bucc([0, 0.0, 90], [1, 95], [(0, 1), (90, 95)])
    rows = rows.remove_columns("source").add_column("source", [["s 0", "s 0", "s 90"]])
    found = MINE.evaluate(BUCC, rows, None, None, layer=1)
    assert found.scores["recall"] == 50.0  # XTREME discards them; the gold pair with s0 is lost


def test_mining_with_a_real_encoder():
    sentences = ["the cat", "a dog reads", "where is the river", "北京", "she sings", "two houses by the river"]
    ids = [str(place) for place in range(len(sentences))]
    row = {"source_ids": ids, "source": sentences, "target_ids": ids, "target": sentences}
    rows = Dataset.from_dict({name: [value] for name, value in {**row, "gold": [[i, i] for i in ids]}.items()})
    found = MINE.evaluate(BUCC, rows, tiny.encoder(), tiny.tokenizer())
    assert found.settings["layer"] == 1 and 0.0 < found.scores["f1"] <= 100.0
    gained, possible = found.shares.sum(axis=0)
    assert 100 * gained / possible == pytest.approx(found.scores["f1"])


def test_mistakes_in_the_gold_are_named(by_name):
    with pytest.raises(StiltsError, match="1 gold pairs, 1 of their ids unknown \\(\\['t7'\\]\\)"):
        MINE.evaluate(BUCC, bucc([0], [1], [(0, 7)]), None, None, layer=1)
    with pytest.raises(StiltsError, match="0 gold pairs"):
        MINE.evaluate(BUCC, bucc([0], [1], []), None, None, layer=1)
    two = bucc([0], [1], [(0, 1)])
    with pytest.raises(StiltsError, match="bucc has 2 rows here; expected one"):
        MINE.evaluate(BUCC, two.select([0, 0]), None, None, layer=1)
