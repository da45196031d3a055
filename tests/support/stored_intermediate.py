"""One row of each intermediate task as its data set stores it on the Hub, typed as there, and what a kind sees."""

from datasets import ClassLabel, List, Value

STRING, STRINGS, INT = Value("string"), List(Value("string")), Value("int32")
ANSWERS = {"text": STRINGS, "answer_start": List(INT)}
NLI = {"premise": STRING, "hypothesis": STRING, "label": ClassLabel(names=["entailment", "neutral", "contradiction"])}
PAIR, SEEN = {"premise": "p", "hypothesis": "h", "label": 2}, {"text": "p", "text_pair": "h", "label": 2}
SQUAD = {"id": STRING, "title": STRING, "context": STRING, "question": STRING, "answers": ANSWERS}
UNANSWERED = {"id": "7", "title": "T", "context": "An owl.", "question": "Who?",
              "answers": {"text": [], "answer_start": []}}  # fmt: skip
NER = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]

STORED = {
    "anli": (
        NLI | {"uid": STRING, "reason": STRING},
        PAIR | {"uid": "u", "reason": "r"},
        SEEN,
    ),
    "snli": (NLI, PAIR, SEEN),
    "xnli_translate_train": (NLI, PAIR, SEEN),
    "qqp": (
        {"question1": STRING, "question2": STRING, "idx": INT,
         "label": ClassLabel(names=["not_duplicate", "duplicate"])},
        {"question1": "p", "question2": "h", "label": 1, "idx": 0},
        {"text": "p", "text_pair": "h", "label": 1},
    ),
    "pawsx": (
        {"id": INT, "sentence1": STRING, "sentence2": STRING, "label": ClassLabel(names=["0", "1"])},
        {"id": 7, "sentence1": "p", "sentence2": "h", "label": 1},
        {"id": "7", "text": "p", "text_pair": "h", "label": 1},
    ),
    "squad_v2": (
        SQUAD,
        UNANSWERED,
        {key: UNANSWERED[key] for key in ("id", "question", "context", "answers")},
    ),
    "squad_translate_train": (
        {key: SQUAD[key] for key in ("id", "context", "question", "answers")},
        {key: UNANSWERED[key] for key in ("id", "context", "question", "answers")},
        {key: UNANSWERED[key] for key in ("id", "question", "context", "answers")},
    ),
    "tydiqa": (  # the Hub's copy stripped the context, and left the offset where it was
        SQUAD,
        UNANSWERED | {"id": "swahili-7-0", "answers": {"text": ["owl"], "answer_start": [5]}},
        {"id": "swahili-7-0", "question": "Who?", "context": "An owl.",
         "answers": {"text": ["owl"], "answer_start": [3]}},
    ),
    "hellaswag": (
        {"ind": INT, "activity_label": STRING, "ctx_a": STRING, "ctx_b": STRING, "ctx": STRING, "endings": STRINGS,
         "source_id": STRING, "split": STRING, "split_type": STRING, "label": STRING},
        {"ind": 4, "activity_label": "a", "ctx_a": "A man.", "ctx_b": "the owl", "ctx": "A man. the owl",
         "endings": ["eats.", "reads."], "source_id": "s", "split": "train", "split_type": "indomain", "label": "1"},
        {"context": "A man.", "choices": ["the owl eats.", "the owl reads."], "label": 1},
    ),
    "cosmosqa": (
        dict.fromkeys(("id", "context", "question", "answer0", "answer1", "answer2", "answer3"), STRING)
        | {"label": INT},
        {"id": "7", "context": "c", "question": "q", "answer0": "w", "answer1": "x", "answer2": "y", "answer3": "z",
         "label": 3},
        {"id": "7", "context": "c", "question": "q", "choices": [*"wxyz"], "label": 3},
    ),
    "siqa": (
        dict.fromkeys(("context", "question", "answerA", "answerB", "answerC", "label"), STRING),
        {"context": "c", "question": "q", "answerA": "x", "answerB": "y", "answerC": "z", "label": "3"},
        {"context": "c", "question": "q", "choices": [*"xyz"], "label": 2},
    ),
    "copa": (
        {"premise": STRING, "choice1": STRING, "choice2": STRING, "question": STRING, "idx": INT,
         "label": ClassLabel(names=["choice1", "choice2"])},
        {"premise": "It rained.", "choice1": "a", "choice2": "b", "question": "cause", "idx": 0, "label": 1},
        {"context": "It rained.", "question": "What was the cause?", "choices": ["a", "b"], "label": 1},
    ),
    "fill_mask": (
        dict.fromkeys(("id", "url", "title", "text"), STRING),
        {"id": "7", "url": "u", "title": "Owl", "text": "Owls see."},
        {"id": "7", "text": "Owls see."},
    ),
    "ccg": (
        {"tokens": STRINGS, "supertags": List(ClassLabel(names=["np", "unseen"]))},
        {"tokens": ["owls", "see"], "supertags": [0, 1]},
        {"tokens": ["owls", "see"], "tags": [0, 1]},
    ),
    "panx": (
        {"tokens": STRINGS, "ner_tags": List(ClassLabel(names=NER)), "langs": STRINGS, "spans": STRINGS},
        {"tokens": ["Ada", "sees"], "ner_tags": [1, 0], "langs": ["en", "en"], "spans": ["PER: Ada"]},
        {"tokens": ["Ada", "sees"], "tags": [1, 0]},
    ),
}  # fmt: skip
