"""Whether merging encoders of single tasks is as good as training on their mixture.

Every arm trains as many steps on as many examples: a merge shares them among its parts. The soup merges two trainings
on MNLI that differ in the learning rate; `steps of mnli` merges the last three checkpoints of one training on MNLI.
"""

from hf_stilts.studies.study import Arm, Intermediate, Merged, Soup, Study


def arms(steps: int) -> dict[str, Arm]:
    """The arms, each with so many optimizer steps in all."""
    every: dict[str, int | float] = {"per_device_train_batch_size": 32}
    whole, half = {**every, "max_steps": steps}, {**every, "max_steps": steps // 2}
    parts = (Intermediate("mnli", flags=half), Intermediate("squad_v2", flags=half))
    hotter = Intermediate("mnli", flags={**half, "learning_rate": 3e-5})
    return {
        "none": None,
        "mnli": Intermediate("mnli", flags=whole),
        "squad": Intermediate("squad_v2", flags=whole),
        "mixture": Intermediate("mnli", "squad_v2", flags=whole),
        "mean": Merged(*parts),
        "task arithmetic": Merged(*parts, how="task-arithmetic"),
        "ties": Merged(*parts, how="ties"),
        "dare": Merged(*parts, how="dare"),
        "soup of mnli": Merged(parts[0], hotter),
        "steps of mnli": Soup(Intermediate("mnli", flags=whole), last=3, every=0.1),
    }


STUDY = Study(
    base=("FacebookAI/xlm-roberta-base@e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",),
    arms=arms(20000),
    targets=("xnli", "xquad", "panx", "udpos", "tatoeba"),
    controls=("examples", "steps"),
    report=("gains", "languages", "gaps"),
    small={
        "arms": {name: arm for name, arm in arms(500).items() if name not in ("squad", "task arithmetic")},
        "targets": ("xquad", "tatoeba"),
        "train_limit": 4000,
        "limit": 200,
    },
)
