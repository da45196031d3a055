"""Universal NER: find persons, organisations and places in treebanks of 13 languages (Mayhew et al. 2024)."""

from hf_stilts.task import Task

TASK = Task(
    kind="token-classification",
    dataset="universalner/universal_ner",  # a loading script there: hf-stilts data build uner
    configs={  # of several treebanks the one that has training rows; PUD where there is no other
        "ceb": "ceb_gja", "da": "da_ddt", "de": "de_pud", "en": "en_ewt", "hr": "hr_set", "pt": "pt_bosque",
        "ru": "ru_pud", "sk": "sk_snk", "sr": "sr_set", "sv": "sv_talbanken", "tl": "tl_trg", "zh": "zh_gsdsimp",
        "zh_Hant": "zh_gsd",
    },
    columns={"tokens": "tokens", "tags": "ner_tags"},
    labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
    languages=("ceb", "da", "de", "en", "hr", "pt", "ru", "sk", "sr", "sv", "tl", "zh", "zh_Hant"),
    metric="f1",
    license="cc-by-sa-4.0",
    paper="2311.09122",
)  # fmt: skip
