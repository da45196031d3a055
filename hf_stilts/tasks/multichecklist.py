"""MultiCheckList: six behavioural tests of question answering in 50 languages, of XTREME-R (Ruder et al. 2021).

Each test is about 200 cases, a case some questions on some texts of one or two sentences ("Philip has an iguana and a
minivan. What animal does Philip have?"). It fails if one of them is answered wrongly.
"""

from hf_stilts.languages import LANGUAGES
from hf_stilts.task import Task

TASK = Task(
    kind="question-answering",
    dataset="multichecklist",  # hf-stilts data build multichecklist
    config="{language}",
    # The paper's are those of XTREME-R; the published templates have Hausa instead of Romanian.
    languages=tuple(sorted({*LANGUAGES, "ha"})),
    train=("squad_v1",),
    metric="failure_rate",
    license="apache-2.0",
    paper="2104.07412",
)
