"""CCG: tag each word with its category of combinatory categorial grammar (Hockenmaier and Steedman 2007)."""

from hf_stilts.task import Task

TASK = Task(
    kind="token-classification",
    # CCGbank is sold by the LDC, so no Hub has it: hf-stilts data build ccg reads its files, or those of the
    # Parallel Meaning Bank (Abzianidze et al. 2017), which are free and in four languages. Labels: those of the data.
    dataset="ccg",
    config="{language}",
    columns={"tokens": "tokens", "tags": "supertags"},
    languages=("de", "en", "it", "nl"),
    metric="accuracy",
    license="other",
    paper="1702.03964",
)
