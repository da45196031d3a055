"""Whether the gain of intermediate training holds for mBERT, XLM-R, mT5 and mDeBERTa, on clean and on noisy rows."""

from hf_stilts.studies.study import Intermediate, Study

STUDY = Study(
    base=(
        "google-bert/bert-base-multilingual-cased@3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
        "FacebookAI/xlm-roberta-base@e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
        "google/mt5-base@2eb15465c5dd7f72a8f7984306ad05ebc3dd1e1f",
        "microsoft/mdeberta-v3-base@a0484667b22365f84929a935b5e50a51f71f159d",
    ),
    arms={"none": None, "mnli": Intermediate("mnli"), "squad": Intermediate("squad_v1")},
    targets=("xnli", "pawsx", "xquad", "tydiqa", "udpos", "panx"),
    noise=(None, "keyboard=0.1"),
    seeds=(0, 1, 2, 3, 4),
    report=("gains", "languages", "gaps"),
    small={
        "base": (
            "google-bert/bert-base-multilingual-cased@3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
            "FacebookAI/xlm-roberta-base@e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
        ),
        "arms": ("none", "squad"),
        "targets": ("xquad", "udpos"),
        "noise": (None,),
        "flags": {"max_steps": 500},
        "limit": 200,
        "seeds": (0, 1, 2),
    },
)
