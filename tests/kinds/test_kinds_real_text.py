"""Kinds on real text: gold answers of XQuAD and SQuAD 2.0 and gold tags of UD, through windows and back."""

import json
from functools import cache
from itertools import islice

import numpy as np
import pytest
from datasets import Dataset
from places import DATA
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertTokenizer

from hf_stilts.kinds import load_kind
from hf_stilts.task import Task

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real text: {DATA} is absent; set HF_STILTS_TEST_DATA")
LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
TREEBANKS = (
    "Arabic-PUD",
    "Chinese-PUD",
    "English-PUD",
    "French-PUD",
    "Hindi-PUD",
    "Japanese-GSD",
    "Korean-PUD",
    "Thai-PUD",
)
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
QA = Task(kind="question-answering", dataset="google/xquad", name="xquad", metric="f1")
POS = Task(kind="token-classification", dataset="google/xtreme", name="udpos", labels=tuple(UPOS), metric="f1")


def squad_rows(path, limit=None):
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    asked = (
        (paragraph["context"], qa)
        for article in articles
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    )
    return Dataset.from_list(
        [
            {
                "id": qa["id"],
                "question": qa["question"],
                "context": context,
                "answers": {key: [answer[key] for answer in qa["answers"]] for key in ("text", "answer_start")},
            }
            for context, qa in islice(asked, limit)
        ]
    )


def trained_tokenizer(texts):
    """WordPiece, learnt on these texts."""
    learnt = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learnt.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    learnt.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=16000, special_tokens=special, limit_alphabet=8000, show_progress=False
    )
    learnt.train_from_iterator(texts, trainer)
    return BertTokenizer(vocab=learnt.get_vocab(), do_lower_case=False, strip_accents=False)


def through_gold_logits(rows, tokenizer):
    """Answers that a model with perfect logits gives, and how many features there were."""
    kind = load_kind("question-answering")
    features = kind.features(QA, rows, tokenizer, max_length=384, train=False)
    outputs = []
    for feature in features:
        logits = np.zeros((len(feature["input_ids"]), 2), dtype=np.float32)
        logits[feature["start_positions"], 0] = logits[feature["end_positions"], 1] = 1.0
        outputs.append(logits)
    return kind.decode(QA, rows, features, outputs), features


def check_gold_answers(rows, tokenizer, at_least):
    """Longer than 30 tokens no answer is given; all others come back, but for those that begin or end in mid-token."""
    found, _ = through_gold_logits(rows, tokenizer)
    golds = [answers["text"][0] for answers in rows["answers"]]
    short = [place for place, gold in enumerate(golds) if len(tokenizer.tokenize(gold)) <= 25]
    assert len(short) > 0.9 * len(golds)
    assert [golds[place] for place in short if golds[place] not in found[place]] == []
    assert sum(golds[place] == found[place] for place in short) >= at_least * len(short)


@cache
def xquad(language, limit=None):
    return squad_rows(DATA / "xquad" / f"xquad.{language}.json", limit)


@pytest.mark.parametrize("language", ["ar", "en", "th", "zh"])
def test_gold_answers_come_back_from_a_tokenizer_that_learnt_the_language(language):
    rows = xquad(language, 150)
    check_gold_answers(rows, trained_tokenizer([*rows["context"], *rows["question"]]), at_least=0.96)


@pytest.mark.slow
def test_gold_answers_come_back_in_all_languages():
    tokenizer = trained_tokenizer(
        text for language in LANGUAGES for row in xquad(language) for text in (row["context"], row["question"])
    )
    for language in LANGUAGES:
        check_gold_answers(xquad(language), tokenizer, at_least=0.994)


def test_unanswerable_questions_of_squad_2_stay_unanswered():
    rows = squad_rows(DATA / "squad_v2" / "dev-v2.0.json", 300)
    tokenizer = trained_tokenizer([*rows["context"], *rows["question"]])
    found, _ = through_gold_logits(rows, tokenizer)
    silent = [not answers["text"] for answers in rows["answers"]]
    assert 50 < sum(silent) < 250
    assert [answer == "" for answer in found] == silent
    scores = load_kind("question-answering").score(QA, found, rows)
    assert scores["NoAns_exact"] == 100.0 and scores["HasAns_f1"] > 98.0


def ud_rows(treebank, limit=200):
    path = next((DATA / "ud" / f"UD_{treebank}").glob("*-ud-test.conllu"))
    sentences = []
    for block in islice(path.read_text(encoding="utf-8").split("\n\n"), limit):
        words = [line.split("\t") for line in block.split("\n") if line[:1].isdigit()]
        words = [columns for columns in words if columns[0].isdigit() and columns[3] in UPOS]
        sentences.append({"tokens": [columns[1] for columns in words], "tags": [columns[3] for columns in words]})
    return Dataset.from_list(sentences)


@pytest.mark.parametrize("treebank", TREEBANKS)
def test_gold_tags_come_back_through_narrow_windows(treebank):
    kind, rows = load_kind("token-classification"), ud_rows(treebank)
    # Learnt on a quarter of the sentences only, so that some words are unknown and some are cut into many pieces.
    tokenizer = trained_tokenizer([" ".join(tokens) for tokens in rows["tokens"][:50]])
    features = kind.features(POS, rows, tokenizer, max_length=12, train=False)
    assert len(features) > 2 * len(rows)
    outputs = [np.array(feature["labels"]) for feature in features]  # -100 where nothing may be read
    found = kind.decode(POS, rows, features, outputs)
    assert found == rows["tags"][:]
    scores = kind.score(POS, found, rows)
    assert scores == pytest.approx(dict.fromkeys(("f1", "precision", "recall", "accuracy"), 100.0))
