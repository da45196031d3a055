"""MLQA: find the answer to a question in a paragraph of the same language, in 7 languages (Lewis et al. 2020)."""

from hf_stilts.task import Task

TASK = Task(
    kind="question-answering",
    dataset="google/xtreme",
    config="MLQA.{language}.{language}",  # context, then question: XTREME asks in the context's own
    revision="ec5f1f46e9af79639a90684a7a70a956c4998f04",
    languages=("ar", "de", "en", "es", "hi", "vi", "zh"),
    train=("squad_v1",),
    metric="em_and_f1",
    normalisation="mlqa",
    license="cc-by-sa-3.0",
    paper="1910.07475",
)
