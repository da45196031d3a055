"""Hand-made raw files of the target tasks' publishers, whole and right, as their converters read them."""

from __future__ import annotations

import json


def lines(*objects) -> str:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)


def squad(*paragraphs) -> str:
    return json.dumps({"version": "1", "data": [{"title": "T", "paragraphs": list(paragraphs)}]}, ensure_ascii=False)


def question(name, answer, start, text="What?"):
    return {"id": name, "question": text, "answers": [{"text": answer, "answer_start": start}]}


CHOICE = {"premise": "It rained.", "choice1": "a", "choice2": "b", "question": "effect", "label": 1, "idx": 0,
          "changed": False}  # fmt: skip
OWL = {"context": "An owl.", "qas": [question("m1", "owl", 3)]}


def paragraph(context, breaks, *qas):
    sentences = [context[start:end] for start, end in breaks]
    return {"context": context, "sentences": sentences, "sentence_breaks": breaks, "qas": list(qas)}


# Two paragraphs; in the first, q1 is answered in the second sentence (offset 7: "An owl."), which stands there twice.
XQUAD_R = {
    "en": squad(
        paragraph("A cat.\nAn owl. An owl.", [[0, 6], [7, 14], [15, 22]], question("q1", "owl", 10)),
        paragraph("A dog.", [[0, 6]], question("q2", "dog", 2, "Who\nis it?")),
    ),
    "de": squad(
        paragraph("Eine Katze. Eine Eule.", [[0, 11], [12, 22]], question("q1", "Eule", 17)),
        paragraph("Ein Hund.", [[0, 9]], question("q2", "Hund", 4)),
    ),
}

TEXT = "Owls hunt. The {big} owl  sat\nin Athens. It slept."  # sentences: 0-10, 11-40, 41-50; "Athens" is 33-39


def context(language="en"):
    spans = [{"start": start, "end": end} for start, end in ((0, 10), (11, 40), (41, 50))]
    return {"document_title": "Owl", "document_url": "u", "document_id": "d", "language": language, "text": TEXT,
            "sentence_spans": spans}  # fmt: skip


def mention(name="e1", entity="Q1524"):
    return {"example_id": name, "mention_span": {"start": 33, "end": 39, "text": "Athens"}, "entity_id": entity}


def entity(name="Q1524", language="el", description="A city.  Old."):
    spans = [{"start": 0, "end": 7}, {"start": 9, "end": 13}]
    return {"entity_id": name, "title": "Athens", "description": description, "description_language": language,
            "description_url": "u", "sentence_spans": spans}  # fmt: skip


UP = {"id": "7", "title": "Owl", "context": "It sat.", "question": "ஆந்தை?"}
TARGETS = {
    "xcopa": {
        "sw/val.sw.jsonl": lines(CHOICE),
        "sw/test.sw.jsonl": lines(CHOICE, CHOICE | {"question": "cause", "idx": 1}),
    },
    "mlqa": {
        f"{part}/{part}-context-{pair}.json": squad(OWL)
        for part in ("dev", "test")
        for pair in ("en-question-en", "en-question-de", "de-question-de")
    },
    "panx": {
        "de/train": "de:Eulen\tO\nde:sehen\tO\n\nde:Athen\tB-LOC\n",
        "de/dev": "de:Athen\tB-LOC\n",
        "de/test": "de:Neu\tB-LOC\nde:Athen\tI-LOC\n\nde:de:x\tO\n\n",
    },
    "tydiqa": {
        "tydiqa-goldp-v1.1-train.json": squad(
            {"context": "An owl.", "qas": [question("english-1-1", "owl", 3)]},
            {"context": "Bundi.", "qas": [question("swahili-2-1", "Bundi", 0)]},
        ),
        "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-swahili.json": squad(
            {"context": "Bundi.", "qas": [question("swahili-3-1", "Bundi", 0)]}
        ),
        "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-english.json": squad(
            {"context": "An owl.", "qas": [question("english--4-1", "owl", 3)]}
        ),
    },
    "lareqa": {f"xquad-r/{language}.json": text for language, text in XQUAD_R.items()},
    "mewslix": {
        "wikinews_mentions-dev.jsonl": lines({"context": context(), "mentions": [mention()]}),
        "wikinews_mentions-test.jsonl": lines(
            {"context": context("de"), "mentions": [mention("e2"), mention("e3", "Q2")]},
            {"context": context(), "mentions": [mention("e4")]},
        ),
        "candidate_set_entities.jsonl": lines(entity(), entity("Q2", "en")),
        "wikipedia_pairs-train.jsonl": lines(
            {"contextual_mention": {"context": context(), "mention": mention()}, "entity": entity()}
        ),
    },
    "xtreme_up_retrieval": {
        "retrieval_cross_lang/validation/ta.jsonl": lines(UP),
        "retrieval_cross_lang/test/ta.jsonl": lines(UP, UP | {"id": 7, "question": "?"}),
        "retrieval_cross_lang/index.jsonl": lines(
            {"id": "7", "title": "Owl", "context": "It sat."}, {"id": "8", "title": "", "context": "A hare."}
        ),
    },
}
