"""Answers to questions lose no letters, whatever a tokenizer's offsets leave out: tokenizers of many designs."""

import json
from dataclasses import replace

import numpy as np
import pytest
import regex
import tokenizer_designs
from datasets import Dataset
from places import DATA

from hf_stilts.kinds import kind_for, load_kind
from hf_stilts.kinds.offsets import cluster_edges, cover
from hf_stilts.task import Task

QA = Task(kind="question-answering", dataset="google/xquad", name="xquad", metric="f1")
FILES = {
    "ar": "xquad/xquad.ar.json",
    "bn": "tydiqa_goldp/bengali_tydiqa_dev.json",
    "el": "xquad/xquad.el.json",
    "en": "xquad/xquad.en.json",
    "fi": "tydiqa_goldp/finnish_tydiqa_dev.json",
    "hi": "xquad/xquad.hi.json",
    "ko": "tydiqa_goldp/korean_tydiqa_dev.json",
    "ru": "xquad/xquad.ru.json",
    "te": "tydiqa_goldp/telugu_tydiqa_dev.json",
    "th": "xquad/xquad.th.json",
    "vi": "xquad/xquad.vi.json",
    "zh": "xquad/xquad.zh.json",
}
# A context and answers in it, each of whole letters.
WRITTEN = [
    ("Amsterdam is bigger than Paris, said 1 of 19 in 1990 (for $5).", ["Amsterdam", "Paris", "1", "19", "1990", "$5"]),
    (
        "In the Cafe\u0301 Ole\u0301 they re\u0301sume\u0301 at 8.",
        ["Cafe\u0301", "Cafe\u0301 Ole\u0301", "re\u0301sume\u0301"],
    ),
    ("Élan naïve, Müller öffnet die Tür zum Café.", ["Élan", "Müller", "öffnet", "Tür", "Café", "naïve"]),
    ("किताब दिल्ली में है और लेडी गागा एलवे से मिलीं।", ["किताब", "दिल्ली में", "लेडी गागा", "एलवे", "मिलीं"]),
    ("น้ำที่เชียงใหม่มีสี่แห่ง", ["น้ำ", "เชียงใหม่", "สี่"]),
    ("ಕನ್ನಡ మరియు తెలుగు, হাঙ্গেরি ও বাংলা", ["ಕನ್ನಡ", "తెలుగు", "হাঙ্গেরি", "বাংলা"]),
    ("هذه مَدْرَسَةٌ في القاهرة عام ١٩٩٠.", ["مَدْرَسَةٌ", "القاهرة", "١٩٩٠"]),
    ("北京は日本ではない。東京が日本。", ["北京", "日本", "東京"]),
    ("\u1112\u1161\u11ab\u1100\u116e\u11a8 서울 2002년", ["\u1112\u1161\u11ab\u1100\u116e\u11a8", "서울", "2002년"]),
    ("a family 👩‍👩‍👧 and 👍🏽 in 🇫🇷!", ["👩‍👩‍👧", "👍🏽", "🇫🇷"]),
]


def rows_of(asked):
    return Dataset.from_list(
        [
            {
                "id": str(number),
                "question": "who ?",
                "context": context,
                "answers": {"text": [answer], "answer_start": [start]},
            }
            for number, (context, answer, start) in enumerate(asked)
        ]
    )


def written_rows():
    return rows_of([(context, answer, context.index(answer)) for context, answers in WRITTEN for answer in answers])


def real_rows(language, count):
    """Questions from all parts of a file."""
    asked = []
    for article in json.loads((DATA / FILES[language]).read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answer = question["answers"][0]
                asked.append((paragraph["context"], answer["text"], answer["answer_start"]))
    return rows_of(asked[:: len(asked) // count])


def answers_of_an_oracle(rows, tokenizer, max_length):
    """What a model answers whose logits point at the gold positions."""
    kind = replace(load_kind("question-answering"), max_answer=5000, doc_stride=max_length // 3)
    features = kind.features(QA, rows, tokenizer, max_length=max_length, train=False)
    outputs = []
    for feature in features:
        logits = np.zeros((len(feature["input_ids"]), 2), dtype=np.float32)
        logits[feature["start_positions"], 0] = logits[feature["end_positions"], 1] = 1.0
        outputs.append(logits)
    return kind.decode(QA, rows, features, outputs)


def whole_letters(context, answers):
    """The first gold answer without blanks at its ends, with all of the grapheme clusters that it begins or ends in.

    No tokenizer comes into it: this is what the best model can answer.
    """
    first = answers["answer_start"][0]
    last = first + len(answers["text"][0].rstrip())
    first += len(answers["text"][0]) - len(answers["text"][0].lstrip())
    letters = [match for match in regex.finditer(r"\X", context) if match.end() > first and match.start() < last]
    return "".join(match.group() for match in letters).strip()


@pytest.mark.parametrize("max_length", [600, 96])
@pytest.mark.parametrize("design", tokenizer_designs.DESIGNS)
def test_answers_that_were_written_for_this_lose_no_letter(design, max_length):
    rows = written_rows()
    tokenizer = tokenizer_designs.build(design, [*rows["context"], *rows["question"]])
    expected = [answers["text"][0] for answers in rows["answers"]]
    assert answers_of_an_oracle(rows, tokenizer, max_length) == expected


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real text: {DATA} is absent; set HF_STILTS_TEST_DATA")
@pytest.mark.parametrize("language", FILES)
def test_real_answers_lose_no_letter(language):
    rows = real_rows(language, 12)
    expected = [whole_letters(*row) for row in zip(rows["context"], rows["answers"], strict=True)]
    assert expected == [answers["text"][0].strip() for answers in rows["answers"]]
    for design in tokenizer_designs.DESIGNS:
        tokenizer = tokenizer_designs.build(design, [*rows["context"], *rows["question"]])
        assert answers_of_an_oracle(rows, tokenizer, 4096) == expected, design


@pytest.mark.parametrize("design", ["bytes, blank before every word", "Unigram, accents stripped", "Unigram, NFKC"])
def test_text_to_text_answers_lose_no_letter_either(design):
    task = replace(QA, text_to_text=True)
    kind, rows = kind_for(task), written_rows()
    extra = ["xquad: question: context:"]
    tokenizer = tokenizer_designs.build(design, [*rows["context"], *rows["question"], *extra])
    features = kind.features(task, rows, tokenizer, max_length=600, train=False)
    found = kind.decode(task, rows, features, [labels[:-1] for labels in features["labels"]])
    expected = [answers["text"][0] for answers in rows["answers"]]
    # The very tokens of an answer may stand in an earlier place that decodes to other letters: none of these does.
    assert [(gold, answer) for gold, answer in zip(expected, found, strict=True) if gold != answer] == []


def covered_by(text, *offsets):
    offsets = np.array(offsets, dtype=np.int32).reshape(-1, 2)
    window = offsets, np.ones(len(offsets), dtype=bool)
    found = cover(text, cluster_edges(text), [window])[0]
    return list(zip(found.whole_starts.tolist(), found.whole_ends.tolist(), strict=True))


def test_skipped_letters_by_hand():
    # A letter late, and nothing but its letter, which it skips.
    assert covered_by("Oslo a", (1, 4), (6, 6)) == [(0, 4), (5, 6)]
    # Skipped letters go to no token of another word, and signs to no letter.
    assert covered_by("a bc (d", (0, 1), (6, 7)) == [(0, 1), (6, 7)]
    # What only controls others, as a soft hyphen does, is nobody's.
    assert covered_by("Dampf\u00adschiff", (0, 5), (6, 12)) == [(0, 5), (6, 12)]
    # At the end of a word, to the token before.
    assert covered_by("Dalí!", (0, 3), (4, 5)) == [(0, 4), (4, 5)]
    # A mark goes with its letter, also where a token of the same word follows.
    assert covered_by("cafe\u0301s", (0, 4), (5, 6)) == [(0, 5), (5, 6)]
    # Tokens of one word that all skip their digit, each its own.
    assert covered_by("190", (1, 1), (2, 2), (3, 3)) == [(0, 1), (1, 2), (2, 3)]
    # The blank and a letter's first byte, said to begin behind the letter.
    assert covered_by("é", (1, 1), (0, 1)) == [(0, 1), (0, 1)]
    assert covered_by("", (0, 0)) == [(-1, -1)]
