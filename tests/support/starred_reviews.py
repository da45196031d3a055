"""Reviews and their stars, in English and German: a task of a kind that the package does not have."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-regression",
    dataset="owls/reviews",
    config="{language}",
    languages=("en", "de"),
    license="cc0-1.0",
)
