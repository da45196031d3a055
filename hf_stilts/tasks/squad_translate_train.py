"""SQuAD 1.1 by machine in ten languages, as XTREME trained "translate-train" on it (Hu et al. 2020)."""

from hf_stilts.task import Task

TASK = Task(
    kind="question-answering",
    dataset="juletxara/xquad_xtreme",  # a loading script when last seen: build it from XTREME's own files
    config="{language}",
    languages=("ar", "de", "el", "es", "hi", "ru", "th", "tr", "vi", "zh"),
    splits={"train": "translate_train", "validation": "translate_dev"},
    translated=True,
    metric="em_and_f1",
    license="cc-by-sa-4.0",
    paper="2003.11080",
)
