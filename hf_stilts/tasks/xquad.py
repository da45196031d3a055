"""XQuAD: 1,190 SQuAD questions with their paragraphs, translated into 11 languages (Artetxe et al. 2020)."""

from hf_stilts.task import Task

TASK = Task(
    kind="question-answering",
    dataset="google/xquad",
    config="xquad.{language}",
    revision="51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
    languages=("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"),
    splits={"test": "validation"},
    train=("squad_v1",),
    metric="em_and_f1",
    license="cc-by-sa-4.0",
    paper="1910.11856",
)
