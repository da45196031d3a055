"""MultiCheckList: XTREME-R's behavioural tests of question answering, out of the suites that CheckList has pickled.

A pickle is a program, and loading one runs it. Here nothing of it runs: whatever it would import is replaced by a
stand-in that does nothing, and what no suite needs is refused.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from typing import Any

from datasets import Dataset, Features, Value

from hf_stilts.dataset_scripts import xquad
from hf_stilts.dataset_scripts.raw import Raw

FILES = "{language}_squad_suite.pkl"
SOURCE = "https://console.cloud.google.com/storage/browser/xtreme_translations (folder MultiCheckList/lang_suites)"
CITATION = (
    "Ruder et al. (2021), XTREME-R, EMNLP; Ribeiro, Wu, Guestrin and Singh (2020), Beyond Accuracy: Behavioral Testing "
    "of NLP Models with CheckList, ACL."
)
FEATURES = Features({**xquad.FEATURES, "test_case": Value("string")})
# Name of a test in a suite -> what the publisher's predictions and tables call it.
TESTS = {
    "A is COMP than B. Who is more / less COMP?": "comp",
    "Intensifiers (very, super, extremely) and reducers (somewhat, kinda, etc)?": "intense",
    "size, shape, age, color": "props",
    "Profession vs nationality": "profession_nationality",
    "Animal vs Vehicle": "animal_vehicle",
    "Animal vs Vehicle v2": "animal_vehicle_v2",
}
_NOWHERE = -1
# What `TestSuite.save` pickles: the suite and its tests, and by dill the functions that compare answers with labels.
_MODULES = frozenset(
    "checklist.editor checklist.expect checklist.test_suite checklist.test_types checklist_utils generate_test_utils "
    "dill dill._dill munch collections functools _functools types "
    "numpy numpy.core.multiarray numpy._core.multiarray".split()
)
_BUILTINS = frozenset("dict frozenset getattr len list map object range set setattr tuple type zip".split())


class _StandIn:
    """An object of a pickle: made with any arguments and called with any, it keeps its state and does nothing."""

    state: dict[Any, Any]

    def __new__(cls, *_: Any, **__: Any) -> _StandIn:  # a pickle may make it without its `__init__`
        made = super().__new__(cls)
        made.state = {}
        return made

    def __call__(self, *_: Any, **__: Any) -> _StandIn:
        return _StandIn()

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}

    def __setitem__(self, key: Any, value: Any) -> None:
        self.state[key] = value

    def append(self, item: Any) -> None:
        """Drop an item of a list."""

    def extend(self, items: Any) -> None:
        """Drop items of a list."""


class _SuiteReader(pickle.Unpickler):
    """Imports nothing: every class and function of a suite is a stand-in, and any other is refused."""

    def find_class(self, module: str, name: str) -> type[_StandIn]:
        if module in _MODULES or (module in ("builtins", "__builtin__") and name in _BUILTINS):
            return _StandIn
        raise pickle.UnpicklingError(f"{module}.{name}, which no suite needs")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"the reference {pid!r:.50}, which no suite needs")


def convert(raw: Raw, language: str) -> dict[str, Dataset]:
    """One row a question, in the order of the suite; `test_case` is `<test>-<number of its case, from 0>`."""
    name = FILES.format(language=language)
    rows = list(raw.some(name, _rows(raw, name), "question"))
    return {"test": Dataset.from_list(rows, features=FEATURES)}


def _rows(raw: Raw, name: str) -> Iterator[dict[str, Any]]:
    for title, test in _tests(raw, name).items():
        short = TESTS.get(title) if isinstance(title, str) else None
        if short is None:
            raise raw.error(name, "its tests", f"the test {title!r:.60}", f"one of {', '.join(TESTS)}")
        state = getattr(test, "state", {})
        cases, labels = state.get("data"), state.get("labels")
        if not (isinstance(cases, list) and isinstance(labels, list) and len(cases) == len(labels)):
            raise raw.error(name, f"test {title!r}", "no cases with their labels", "lists data and labels, as long")
        for number, (case, answers) in enumerate(zip(cases, labels, strict=True)):
            yield from _case(raw, name, f"{short}-{number}", case, answers)


def _tests(raw: Raw, name: str) -> dict[Any, Any]:
    """Tests of a suite by their titles.

    Raises:
        StiltsError: the file is no pickle of a suite, or would import what no suite needs.
    """
    try:
        suite = _SuiteReader(io.BytesIO(raw.content(name))).load()
    except Exception as error:  # a broken pickle raises whatever it comes upon
        expected = "a CheckList suite as published, of which nothing is run"
        raise raw.error(name, "its pickle", f"{error or type(error).__name__}", expected) from error
    tests = getattr(suite, "state", {}).get("tests")
    tests = getattr(tests, "state", tests)  # an `OrderedDict`
    if not isinstance(tests, dict) or not tests:
        raise raw.error(name, "its pickle", "no tests", "a CheckList suite as published")
    return tests


def _case(raw: Raw, name: str, case: str, pairs: Any, answers: Any) -> Iterator[dict[str, Any]]:
    """Questions of one case, each a pair of context and question with the answer that is expected."""
    if not (isinstance(pairs, list) and isinstance(answers, list) and len(pairs) == len(answers)):
        raise raw.error(name, f"case {case}", "another number of answers than of questions", "one for each")
    for number, (pair, answer) in enumerate(zip(pairs, answers, strict=True)):
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(s, str) for s in (*pair, answer))):
            raise raw.error(name, f"case {case}", f"{pair!r:.60} -> {answer!r:.40}", "(context, question) -> answer")
        context, question = pair
        # An answer that is inflected in its text stands nowhere; then it is compared all the same.
        start = context.find(answer) if answer else _NOWHERE
        answers_of_row = {"text": [answer], "answer_start": [start]}
        row = {"id": f"{case}-{number}", "context": context, "question": question, "answers": answers_of_row}
        yield row | {"test_case": case}
