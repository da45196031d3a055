"""One row of each task beyond XTREME as its data set stores it on the Hub, typed as there, and what a kind sees.

The rows of SIB-200, MasakhaNER 2.0 and MasakhaPOS are the publishers'; the others are written here in their layout.
"""

from datasets import ClassLabel, List, Value

STRING, STRINGS = Value("string"), List(Value("string"))
NLI = {"premise": STRING, "hypothesis": STRING, "label": ClassLabel(names=["entailment", "neutral", "contradiction"])}
NER = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-DATE", "I-DATE"]
# The order of their numbers in the publisher's loading script.
UPOS = "NOUN PUNCT ADP NUM SYM SCONJ ADJ PART DET CCONJ PROPN PRON X ADV INTJ VERB AUX".split()
CLOSED = {"source_ids": ["ha-1"], "source": ["Kyanwa"], "target_ids": ["en-1"], "target": ["cat"],
          "gold": [["ha-1", "en-1"]]}  # fmt: skip

STORED = {
    "sib200": (
        {"index_id": Value("int64"), "category": STRING, "text": STRING},
        {"index_id": 10, "category": "science/technology", "text": "Ya ce."},
        {"text": "Ya ce.", "label": 4},
    ),
    "belebele": (
        {"link": STRING, "question_number": Value("int64"), "flores_passage": STRING, "question": STRING,
         "mc_answer1": STRING, "mc_answer2": STRING, "mc_answer3": STRING, "mc_answer4": STRING,
         "correct_answer_num": STRING, "dialect": STRING, "ds": STRING},
        {"link": "https://x", "question_number": 1, "flores_passage": "An owl.", "question": "What?",
         "mc_answer1": "a", "mc_answer2": "b", "mc_answer3": "c", "mc_answer4": "d", "correct_answer_num": "4",
         "dialect": "hau_Latn", "ds": "2023-05-03"},
        {"context": "An owl.", "question": "What?", "choices": [*"abcd"], "label": 3},
    ),
    "flores": (
        {"sentence1": STRING, "sentence2": STRING},
        {"sentence1": "Kyanwa", "sentence2": "cat"},
        {"source": "Kyanwa", "target": "cat"},
    ),
    "flores_mining": ({name: STRINGS for name in CLOSED if name != "gold"} | {"gold": List(STRINGS)}, CLOSED, CLOSED),
    "americasnli": (NLI, {"premise": "p", "hypothesis": "h", "label": 2}, {"text": "p", "text_pair": "h", "label": 2}),
    "afrixnli": (
        NLI | {"label": Value("int64")},
        {"premise": "p", "hypothesis": "h", "label": 1},
        {"text": "p", "text_pair": "h", "label": 1},
    ),
    "masakhaner2": (
        {"id": STRING, "tokens": STRINGS, "ner_tags": List(ClassLabel(names=NER))},
        {"id": "0", "tokens": ["jihar", "Benue", "jiya", "Laraba"], "ner_tags": [5, 6, 7, 8]},
        {"tokens": ["jihar", "Benue", "jiya", "Laraba"], "tags": [5, 6, 0, 0]},
    ),
    "wikiann": (
        {"tokens": STRINGS, "ner_tags": List(ClassLabel(names=NER[:7])), "langs": STRINGS, "spans": STRINGS},
        {"tokens": ["Lo", "gat"], "ner_tags": [0, 5], "langs": ["ca", "ca"], "spans": ["LOC: gat"]},
        {"tokens": ["Lo", "gat"], "tags": [0, 5]},
    ),
    "uner": (
        {"idx": STRING, "text": STRING, "tokens": STRINGS, "ner_tags": List(ClassLabel(names=NER[:7])),
         "annotator": STRINGS},
        {"idx": "n01016-0002", "text": "Nya Lund", "tokens": ["Nya", "Lund"], "ner_tags": [5, 6],
         "annotator": ["x", "x"]},
        {"tokens": ["Nya", "Lund"], "tags": [5, 6]},
    ),
    "xnli_eu": (NLI, {"premise": "p", "hypothesis": "h", "label": 2}, {"text": "p", "text_pair": "h", "label": 2}),
    "xnli_ca": (NLI, {"premise": "p", "hypothesis": "h", "label": 1}, {"text": "p", "text_pair": "h", "label": 1}),
    "indicxnli": (
        NLI | {"label": Value("int64")},
        {"premise": "p", "hypothesis": "h", "label": 0},
        {"text": "p", "text_pair": "h", "label": 0},
    ),
    "xstorycloze": (
        {"story_id": STRING, **{f"input_sentence_{number}": STRING for number in (1, 2, 3, 4)},
         "sentence_quiz1": STRING, "sentence_quiz2": STRING, "answer_right_ending": Value("int32")},
        {"story_id": "138d5bfb", **{f"input_sentence_{number}": f"{number}." for number in (1, 2, 3, 4)},
         "sentence_quiz1": "a", "sentence_quiz2": "b", "answer_right_ending": 2},
        {"context": "1. 2. 3. 4.", "choices": ["a", "b"], "label": 1},
    ),
    "masakhapos": (
        {"id": STRING, "tokens": STRINGS, "upos": List(ClassLabel(names=UPOS))},
        {"id": "0", "tokens": ["Hukumar", "wasan", "motsa"], "upos": [0, 0, 15]},
        {"tokens": ["Hukumar", "wasan", "motsa"], "tags": [7, 7, 15]},
    ),
    "massive": (
        {"id": STRING, "label": STRING, "label_text": STRING, "text": STRING, "lang": STRING},
        {"id": "1", "label": "iot_hue_lightoff", "label_text": "iot_hue_lightoff", "text": "Licht aus", "lang": "de"},
        {"id": "1", "text": "Licht aus", "label": 25},
    ),
}  # fmt: skip
