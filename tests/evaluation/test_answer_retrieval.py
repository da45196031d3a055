"""Answers among the candidates of all languages: every score by hand, what a trained encoder says, the whole way."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from datasets import Dataset

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.zero_shot import each_language, zero_shot
from hf_stilts.kinds import answer_retrieval, load_retrieval_kind
from hf_stilts.kinds.dual_encoder import DualEncoder
from hf_stilts.task import Task

TASK = Task(
    kind="answer-retrieval", dataset="org/answers", config="{language}", languages=("en", "de"), metric="map@20",
    name="answers",
)  # fmt: skip
FIND = replace(load_retrieval_kind("answer-retrieval"), depth=2)


def corpus(queries, candidates, gold):
    """One row; a text is the angle of its vector in degrees."""
    return Dataset.from_list(
        [
            {
                "query_ids": list(queries),
                "queries": [str(angle) for angle in queries.values()],
                "candidate_ids": list(candidates),
                "candidates": [str(angle) for angle in candidates.values()],
                "gold": gold,
            }
        ]
    )


ROWS = {
    "en": corpus({"q_en": 2}, {"en0": 0, "en1": 50}, [["en0", "de0"]]),
    "de": corpus({"q_de": 62}, {"de0": 20, "de1": 70}, [["en0", "de1"]]),
}


@pytest.fixture
def angles(monkeypatch):
    asked = []

    def encode(model, tokenizer, texts, **settings):
        asked.append(settings)
        turned = np.radians([float(text) for text in texts])
        return np.stack((np.cos(turned), np.sin(turned)), axis=1).astype(np.float32)

    monkeypatch.setattr(answer_retrieval, "encode", encode)
    monkeypatch.setattr(
        answer_retrieval, "encode_shards", lambda *given, folder=None, **settings: [encode(*given, **settings)]
    )
    return asked


@pytest.mark.parametrize(("column", "said"), [("queries", r"queries\[0\]"), ("candidates", r"candidates\[0\]")])
def test_a_text_that_is_missing_is_named_with_its_language(column, said):
    row = ROWS["de"][0]
    rows = {**ROWS, "de": Dataset.from_list([{**row, column: [None, *row[column][1:]]}])}
    with pytest.raises(StiltsError, match=f"In de: .*row 0 has {said} None; expected text"):
        FIND.evaluate_jointly(TASK, rows, tiny.encoder(), tiny.tokenizer())


def test_scores_by_hand(angles):
    """English, at 2 degrees: en0, de0, en1, de1; both of its answers first. German, at 62: de1, en1, de0, en0.

    mAP@2: en (1/1 + 2/2) / 2 = 1; de (1/1) / 2. Cross-lingual, without en0: de0 first, 1. Without de1: en1, de0, and
    the answer en0 is neither: 0. Of the two results each, one is in the query's own language.
    """
    found = FIND.evaluate_jointly(TASK, ROWS, tiny.encoder(), tiny.tokenizer(), layer=1)
    assert found["en"].scores == {
        "map@2": 100.0, "mrr@2": 100.0, "recall@2": 100.0, "map@2_cross": 100.0, "same_language@2": 50.0,
        "recall@2_en": 100.0, "recall@2_de": 100.0,
    }  # fmt: skip
    assert found["de"].scores == {
        "map@2": 50.0, "mrr@2": 100.0, "recall@2": 50.0, "map@2_cross": 0.0, "same_language@2": 50.0,
        "recall@2_en": 0.0, "recall@2_de": 100.0,
    }  # fmt: skip
    assert found["de"].predictions == [["de1", "en1"]]
    assert found["de"].ids == ["q_de"]
    assert found["de"].shares.tolist() == [[0.5, 1.0]]
    assert found["en"].settings == {"layer": 1, "pooling": "mean", "candidates": 4, "pool": "en de"}


def test_a_pool_of_fewer_languages_is_searched_and_named(angles):
    """German alone: de1, de0. Its English answer is not there and does not count: (1/1) / 1."""
    found = FIND.evaluate_jointly(TASK, {"de": ROWS["de"]}, tiny.encoder(), tiny.tokenizer(), layer=1)
    assert found["de"].scores["map@2"] == 100.0
    assert (found["de"].settings["candidates"], found["de"].settings["pool"]) == (2, "de")


def test_shared_candidates_have_no_language(angles):
    """Entities at 0, 50 and 70; the German mention at 62 means the one at 50, which is second: 1/2."""
    mentions = Dataset.from_list([{"query_ids": ["m"], "queries": ["62"], "gold": [["Q2"]]}])
    entities = Dataset.from_dict({"id": ["Q1", "Q2", "Q3"], "text": ["0", "50", "70"]})
    found = FIND.evaluate_jointly(TASK, {"de": mentions}, tiny.encoder(), tiny.tokenizer(), candidates=entities)
    assert found["de"].scores == {"map@2": 50.0, "mrr@2": 50.0, "recall@2": 100.0}
    assert found["de"].predictions == [["Q3", "Q2"]]


def test_a_dual_encoder_is_used_as_it_was_trained(angles, tmp_path):
    plain = tiny.encoder()
    assert FIND.evaluate_jointly(TASK, ROWS, plain, tiny.tokenizer())["en"].settings["layer"] == 1
    assert [each["max_length"] for each in angles] == [96, 256]
    trained = DualEncoder(plain.config, plain)
    trained.configure(query_length=11, candidate_length=22)
    trained.save_pretrained(tmp_path)
    settings = FIND.evaluate_jointly(TASK, ROWS, trained.encoder, tiny.tokenizer())["en"].settings
    assert (settings["layer"], settings["pooling"]) == (2, "pooler")
    assert [(each["layers"], each["pooling"], each["max_length"]) for each in angles[2:]] == [
        (2, "pooler", 11), (2, "pooler", 22),
    ]  # fmt: skip


def test_rows_that_cannot_be_meant_are_refused(angles):
    given = (tiny.encoder(), tiny.tokenizer())
    with pytest.raises(StiltsError, match="0 right answers are among 2 candidates"):
        FIND.evaluate_jointly(TASK, {"de": corpus({"q": 1}, {"de0": 0, "de1": 1}, [["fr0"]])}, *given)
    with pytest.raises(StiltsError, match="2 candidates with 1 ids|3 candidates"):
        FIND.evaluate_jointly(TASK, {"de": ROWS["de"], "en": corpus({"q": 1}, {"de0": 0}, [["de0"]])}, *given)
    with pytest.raises(StiltsError, match="hold no candidates"):
        FIND.evaluate_jointly(
            TASK, {"de": Dataset.from_list([{"query_ids": ["m"], "queries": ["1"], "gold": [["x"]]}])}, *given
        )
    with pytest.raises(StiltsError, match="has 2 rows in de"):
        FIND.evaluate_jointly(TASK, {"de": Dataset.from_list([*ROWS["de"], *ROWS["de"]])}, *given)


def mirror(folder, parts):
    repository = folder / "org" / "answers"
    card = ["---", "configs:"]
    for name, rows in parts.items():
        path = repository / name / "test-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        rows.to_parquet(path)
        card += [f"- config_name: {name}", "  data_files:", "  - split: test", f"    path: {name}/test-*"]
    (repository / "README.md").write_text("\n".join([*card, "---", ""]))
    return folder


def test_the_whole_way_with_a_real_encoder(tmp_path):
    """Every query is word for word one of its two answers: that one is first, wherever the other may be."""
    texts = {"en": ["the cat reads", "where is the river", "a dog"], "de": ["die Stadt", "ein Haus", "das ist nicht"]}
    parts = {
        code: Dataset.from_list(
            [
                {
                    "query_ids": [f"{place}_{code}" for place in range(3)],
                    "queries": lines,
                    "candidate_ids": [f"{code}{place}" for place in range(3)],
                    "candidates": lines,
                    "gold": [[f"en{place}", f"de{place}"] for place in range(3)],
                }
            ]
        )
        for code, lines in texts.items()
    }
    data, model = mirror(tmp_path / "mirror", parts), tiny.save(tmp_path / "model")
    table = zero_shot(model, TASK, data_dir=data)
    assert table.query("metric == 'mrr@20'")["score"].tolist() == [100.0, 100.0]
    assert table.query("main")["metric"].tolist() == ["map@20"] * 2
    assert set(table["setting"]) == {"no target training"} and set(table["rows"]) == {3}
    assert set(table["candidates"]) == {6} and set(table["pool"]) == {"en de"}
    few = zero_shot(model, TASK, data_dir=data, limit=2)
    assert set(few["rows"]) == {2} and set(few["candidates"]) == {6}, "fewer queries, among all candidates"
    part = next(iter(each_language(model, TASK, data_dir=data, limit=2)))
    assert [each["id"] for each in part.predictions] == ["0_en", "1_en"]
    first = next(iter(each_language(model, TASK, data_dir=data)))
    assert first.predictions[0]["id"] == "0_en" and first.predictions[0]["prediction"][0] == "en0"


def test_candidates_of_all_languages_come_from_their_own_configuration(tmp_path):
    mentions = {
        code: Dataset.from_list([{"query_ids": [code], "queries": [text], "gold": [[gold]]}])
        for code, text, gold in (("en", "the cat", "Q1"), ("de", "das Haus", "Q2"))
    }
    entities = Dataset.from_dict({"id": ["Q1", "Q2"], "text": ["the cat", "das Haus"], "language": ["en", "de"]})
    data = mirror(tmp_path / "mirror", {**mentions, "everything": entities})
    shared = replace(TASK, candidates="everything")
    table = zero_shot(tiny.save(tmp_path / "model"), shared, data_dir=data, cache=str(tmp_path / "vectors"))
    assert table.query("main")["score"].tolist() == [100.0, 100.0]
    assert set(table["pool"]) == {"shared"}
    assert len(list((tmp_path / "vectors").iterdir())) == 1
