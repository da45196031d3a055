"""CosmosQA: choose what a story from a blog implies, among four answers (Huang et al. 2019)."""

from hf_stilts.task import Task

TASK = Task(
    kind="multiple-choice",
    dataset="allenai/cosmos_qa",
    # main holds a loading script; this is the commit of its branch refs/convert/parquet
    revision="ed50fe83db62b355759053b1cd5eef344ee371e0",
    columns={"choices": ("answer0", "answer1", "answer2", "answer3")},
    splits={"test": "validation"},  # the published test split has no labels
    license="cc-by-4.0",
    paper="1909.00277",
)
