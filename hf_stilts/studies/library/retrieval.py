"""Whether multilingual or English intermediate tasks are better for retrieval (BUCC, Tatoeba, LAReQA, Mewsli-X).

Tasks in English, tasks in all languages that they have, dual encoders with three kinds of batches, and English rows of
which a share of the words is in other languages.
"""

from hf_stilts.studies.study import Intermediate, Study

SQUAD = {"en": 0.25, "de-t-en": 0.25, "ru-t-en": 0.25, "zh-t-en": 0.25}

STUDY = Study(
    base=("FacebookAI/xlm-roberta-base@e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",),
    arms={
        "none": None,
        "mnli": Intermediate("mnli"),
        "squad": Intermediate("squad_v1"),
        "hellaswag": Intermediate("hellaswag"),
        "tydiqa, all languages": Intermediate("tydiqa", languages="all"),
        "xnli, translated": Intermediate("xnli_translate_train", languages="all"),
        "pawsx, all languages": Intermediate("pawsx", languages="all"),
        "panx, all languages": Intermediate("panx", languages="all"),
        "dual encoder, monolingual": Intermediate("squad_sentences", languages=SQUAD, batches="monolingual"),
        "dual encoder, cross-lingual": Intermediate("squad_sentences", languages=SQUAD, batches="cross-lingual"),
        "dual encoder, hybrid": Intermediate("squad_sentences", languages=SQUAD, batches="hybrid"),
        "mnli, 25 % switched": Intermediate("mnli", languages="en-x-cs25-de-ru-zh"),
        "mnli, 50 % switched": Intermediate("mnli", languages="en-x-cs50-de-ru-zh"),
        "mnli, 100 % switched": Intermediate("mnli", languages="en-x-cs100-de-ru-zh"),
    },
    targets=("bucc2018", "tatoeba", "lareqa", "mewslix"),
    report=("gains", "languages", "gaps"),
    small={
        "arms": ("none", "squad", "hellaswag", "pawsx, all languages"),
        "targets": ("tatoeba",),
        "flags": {"max_steps": 500},
        "limit": 200,
    },
)
