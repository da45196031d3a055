"""Whether English, another language or a mixture of both is best in phase two, when all read as much.

The rows are XNLI's training rows, which are there in both languages, so the arms differ in the language alone. German
is near to English and Swahili far from it.
"""

from hf_stilts.studies.study import Intermediate, Study

ROWS = 200_000
SHARES = (0.25, 0.5, 0.75, 1.0)


def mixed(code: str, share: float) -> Intermediate:
    """English with a share of another language; the total is the same for every share."""
    return Intermediate("xnli_translate_train", languages={"en": 1 - share, code: share}, limit=ROWS)


STUDY = Study(
    base=("FacebookAI/xlm-roberta-base@e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",),
    arms={
        "none": None,
        "English": Intermediate("xnli_translate_train", languages={"en": 1.0}, limit=ROWS),
        **{f"{round(100 * share)} % German": mixed("de", share) for share in SHARES},
        **{f"{round(100 * share)} % Swahili": mixed("sw", share) for share in SHARES},
    },
    targets=("xnli", "pawsx", "udpos", "panx", "tatoeba"),
    controls=("examples", "steps"),
    small={
        "arms": ("none", "English", "50 % German", "100 % German"),
        "targets": ("udpos", "tatoeba"),
        "flags": {"max_steps": 500},
        "limit": 200,
    },
)
