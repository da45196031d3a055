"""Wikipedia mention pairs: a mention in its sentence, and the entity it means; trains Mewsli-X (Ruder et al. 2021)."""

from hf_stilts.task import Task

TASK = Task(
    kind="sentence-similarity",
    dataset="mewslix",
    config="wikipedia_pairs",
    languages=("en",),
    splits={"test": "validation"},
    metric="mrr@20",
    license="cc-by-2.5",
    paper="2104.07412",
)
