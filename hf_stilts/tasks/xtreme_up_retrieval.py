"""XTREME-UP: find the English passage that answers a question in one of 26 languages (Ruder et al. 2023)."""

from hf_stilts.task import Task

TASK = Task(
    kind="answer-retrieval",
    dataset="xtreme_up_retrieval",  # hf-stilts data build xtreme_up_retrieval: an archive of its publisher
    config="{language}",
    candidates="candidates",
    languages=(
        "ar", "as", "bho", "bn", "brx", "fi", "gbm", "gom", "gu", "hi", "hne", "kn", "ko", "mai", "ml", "mni", "mr",
        "mwr", "or", "pa", "ps", "ru", "sa", "ta", "te", "ur",
    ),
    train=("squad_sentences",),  # English; its publisher trains on questions in the languages themselves
    metric="mrr@20",
    paper="2305.11938",
)  # fmt: skip
