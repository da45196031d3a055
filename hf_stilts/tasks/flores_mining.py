"""FLORES-200, mined: which of 1,012 sentences translates which English one, in 203 languages (NLLB Team 2022)."""

from hf_stilts.task import Task
from hf_stilts.tasks.flores import TASK as FLORES

TASK = Task(
    kind="bitext-mining",
    dataset="flores200_mining",  # hf-stilts data build flores_mining: the copy on the Hub is closed
    config="{flores}",
    metric="f1",
    languages=FLORES.languages,
    license="cc-by-sa-4.0",
    paper="2207.04672",
)
