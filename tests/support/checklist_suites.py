"""Suites of MultiCheckList in the published layout, as `checklist.test_suite.TestSuite.save` pickles them."""

import functools
import pickle
import sys
import types
from collections import OrderedDict, defaultdict
from unittest import mock

ANIMALS, COMPARISONS = "Animal vs Vehicle", "A is COMP than B. Who is more / less COMP?"
OWL = [("Ann has an owl and a car.", "What animal does Ann have?"), ("Ann has an owl and a car.", "What vehicle?")]
TESTS = {
    ANIMALS: ([OWL, [("Ben has a cat and a bus.", "What animal does Ben have?")]], [["owl", "car"], ["cat"]]),
    COMPARISONS: ([[("Ann is older than Ben.", "Who is older?")]], [["Anns"]]),  # stands nowhere in its context
}


def modules():
    """Modules of the names that a published suite imports, with classes as `checklist` has them."""
    names = ("checklist", "checklist.test_suite", "checklist.test_types", "generate_test_utils", "munch")
    found = {name: types.ModuleType(name) for name in names}
    for module, name, base in (
        ("checklist.test_suite", "TestSuite", object),
        ("checklist.test_types", "MFT", object),
        ("munch", "Munch", dict),
    ):
        setattr(found[module], name, type(name, (base,), {"__module__": module, "__qualname__": name}))
    exec("def expect_squad(*args, **kwargs):\n    raise SystemExit", found["generate_test_utils"].__dict__)
    return found


def suite(tests=TESTS, protocol=3):
    """Bytes of a pickled suite: title of a test -> its cases and their labels."""
    imported = modules()
    whole = imported["checklist.test_suite"].TestSuite()
    whole.tests, whole.info = OrderedDict(), defaultdict(dict)
    whole.format_example_fn, whole.print_fn, whole.test_ranges = None, None, {}
    for name, (data, labels) in tests.items():
        test = imported["checklist.test_types"].MFT()
        expect = functools.partial(imported["generate_test_utils"].expect_squad, lang="en")
        test.__dict__ |= {"data": data, "labels": labels, "expect": expect, "run_idxs": None, "name": name}
        test.templates = imported["munch"].Munch(contexts=["{first_name} has {animal}."])
        whole.tests[name] = test
        whole.info[name]["capability"] = "Taxonomy"
    with mock.patch.dict(sys.modules, imported):
        return pickle.dumps(whole, protocol=protocol)
