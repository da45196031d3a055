"""Whether intermediate training or multilingual fine-tuning is the better remedy for typographical noise, or both.

The reference is an arm that has seen such noise: MNLI with a tenth of its words misspelt.
"""

from hf_stilts.studies.study import Intermediate, Study

STUDY = Study(
    base=("FacebookAI/xlm-roberta-base@e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",),
    arms={
        "none": None,
        "mnli": Intermediate("mnli"),
        "squad": Intermediate("squad_v1"),
        "mnli, misspelt": Intermediate("mnli", noise="keyboard=0.1"),
    },
    targets=("xnli", "pawsx", "panx", "tydiqa"),
    train_on={"English": "en", "multilingual": "all"},
    noise=(None, "keyboard=0.05", "keyboard=0.1", "keyboard=0.2"),
    report=("gains", "languages", "gaps"),
    small={
        "arms": ("none", "squad"),
        "targets": ("pawsx", "tydiqa"),
        "noise": (None, "keyboard=0.1"),
        "flags": {"max_steps": 500},
        "limit": 200,
    },
)
