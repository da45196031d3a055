"""Whether intermediate training on English tasks helps transfer on all of XTREME (Phang et al. 2020, table 2).

Nine English tasks, all nine as a mixture, the mixture with masked language modelling, that alone, and two of the tasks
by machine in German, Russian and Swahili (the paper's section on translated intermediate tasks). The arms differ in how
much they read, as their data sets do, so no budget is held equal: that is the paper's comparison.
"""

from hf_stilts.studies.study import Intermediate, Study

NINE = ("anli_plus", "mnli", "qqp", "squad_v2", "squad_v1", "hellaswag", "ccg", "cosmosqa", "commonsenseqa")
TRANSLATED = ("de-t-en", "ru-t-en", "sw-t-en")

STUDY = Study(
    base=("FacebookAI/xlm-roberta-large@c23d21b0620b635a76227c604d44e43a9f0ee389",),
    arms={
        "none": None,
        **{task: Intermediate(task) for task in NINE},
        "all nine": Intermediate(*NINE, sampler="proportional", cap=131072),
        "all nine and mlm": Intermediate(*NINE, "fill_mask", sampler="proportional", cap=131072),
        "mlm": Intermediate("fill_mask", languages="all"),
        "mnli, translated": Intermediate("mnli", languages=TRANSLATED),
        "hellaswag, translated": Intermediate("hellaswag", languages=TRANSLATED),
    },
    targets=("xtreme",),
    recipe="paper",
    report=("gains", "groups", "languages", "gaps", "best"),
    small={
        "base": ("FacebookAI/xlm-roberta-base@e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",),
        "arms": ("none", "squad_v2", "hellaswag", "cosmosqa"),
        "targets": ("xquad", "udpos", "tatoeba"),
        "flags": {"max_steps": 500},
        "limit": 200,
    },
)
