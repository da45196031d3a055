"""A study is data: what may stand in one, where it is found, and the six that ship."""

import json
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from command import run

import hf_stilts
from hf_stilts.errors import StiltsError
from hf_stilts.studies import study as module
from hf_stilts.studies.plan import arm_reads
from hf_stilts.studies.study import Intermediate, Study, list_studies, load_study, scaled, target_tasks

SMALLEST = {"base": ("org/base",), "arms": {"none": None, "mnli": Intermediate("mnli")}, "targets": ("xnli",)}
FILE = '''"""Is it so?

More of it.
"""
from hf_stilts import Intermediate, Study

STUDY = Study(base=("org/base",), arms={"none": None, "x": Intermediate("mnli")}, targets=("xnli",))
'''


def study(**other):
    return Study(**{**SMALLEST, **other})


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"targets": ("xnl",)}, "target 'xnl'.* Did you mean xnli"),
        ({"targets": ("xtreme", "xnli")}, "xnli twice.*each once"),
        ({"targets": ()}, "targets=nothing; expected one or more"),
        ({"targets": "xnli"}, r"targets='xnli'; expected several.*\('xnli',\)"),
        ({"arms": {"none": None, "also": None}}, "None for none and also; expected one baseline"),
        (
            {"arms": {"mnli": "mnli"}},
            "'mnli': 'mnli'; expected an Intermediate, a Merged, a Soup or None",
        ),
        ({"seeds": (1, 1)}, "seeds=1 twice"),
        ({"seeds": (-1,)}, "seeds=-1; expected whole numbers"),
        ({"controls": ("step",)}, "controls='step'. Did you mean steps"),
        ({"report": ("gain",)}, "report='gain'. Did you mean gains"),
        ({"adapter": ("lorra=16",)}, "adapter='lorra=16'.*lora=16"),
        ({"noise": ("keyboard",)}, "noise='keyboard'.*keyboard=0.1"),
        ({"train_on": {"all": ("en", "xx")}}, r"train_on\['all'\] names language 'xx'"),
        ({"train_on": {"mix": {"en": 0.5, "de": 0.4}}}, "sum to 0.9; expected 1"),
        ({"flags": {"seed": 3}}, r"flags='seed'; expected other fields.*seeds=\(0, 1, 2\)"),
        ({"shots": (10, 100)}, r"shots=none that is 0; expected numbers of rows, and 0.*\(0, 10, 100\)"),
        ({"shots": (0, -1)}, "shots=-1; expected numbers of rows"),
        ({"shots": (0, 10), "adapter": ("lora=8",)}, "shots=.*beside adapter=.*all weights"),
        ({"train_noise": {"Englis": "keyboard=0.1"}}, "train_noise of 'Englis'. Did you mean English"),
        ({"train_noise": {"English": "keyboard=0.105"}}, "no whole per cent"),
        ({"limit": 0}, "limit=0; expected a number of rows from 1"),
        ({"small": {"sed": (1,)}}, "small= of this study names 'sed'. Did you mean seeds"),
    ],
)
def test_a_study_that_no_plan_can_be_made_of_is_refused(wrong, said):
    with pytest.raises(StiltsError, match=said):
        study(**wrong)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Intermediate(), "names no task; one or more"),
        (lambda: Intermediate("mnl"), "No task 'mnl'. Did you mean mnli"),
        (lambda: Intermediate("tatoeba"), "names tatoeba, which has no training data.*targets"),
        (lambda: Intermediate("mnli", adapter="lorra"), "adapter='lorra'; a name with its rank"),
        (lambda: Intermediate("mnli", "qqp", adapter="lora"), "adapter='lora' and is a mixture"),
        (lambda: Intermediate("fill_mask", languages="all", adapter="lora"), "adapter='lora' and is a mixture"),
        (lambda: Intermediate("mewslix_pairs", adapter="lora"), "adapter='lora' and is a dual encoder"),
        (lambda: Intermediate("mnli", "qqp", contrastive="de"), "contrastive=, which is for one task"),
        (lambda: Intermediate("mnli", noise="keybord=0.1"), "No noise 'keybord'. Did you mean keyboard"),
        (lambda: Intermediate("mnli", noise="keyboard=0.1:text_pair"), "names columns.*hf-stilts data noise TASK"),
        (lambda: Intermediate("mnli", noise="natural=0.1"), "is of a dictionary"),
        (lambda: Intermediate("mnli", "fill_mask", noise="keyboard=0.1"), "fill_mask reads text, not rows"),
        (lambda: Intermediate("mnli", languages="en,xx"), "names language 'xx'"),
        (lambda: Intermediate("mnli", languages={"en": 0.9, "de-t-en": 0.2}), "sum to 1.1; expected 1"),
    ],
)
def test_an_arm_that_cannot_be_trained_is_refused(make, said):
    with pytest.raises(StiltsError, match=said):
        make()


def test_a_study_keeps_what_it_was_given_and_knows_its_baseline():
    made = study(seeds=[3, 4])
    assert made.seeds == (3, 4) and made.baseline == "none"
    assert study(arms={"mnli": Intermediate("mnli")}).baseline is None
    with pytest.raises(AttributeError):
        made.seeds = (5,)
    with pytest.raises(AttributeError):
        made.arms["mnli"].tasks = ("qqp",)


def test_targets_are_the_tasks_of_a_benchmark_in_its_languages_or_a_task_in_all_of_its_own():
    xtreme = target_tasks(study(targets=("xtreme",)))
    assert len(xtreme) == 9 and len(xtreme["tatoeba"]) == 36
    assert len(target_tasks(study(targets=("tatoeba",)))["tatoeba"]) == 41
    few = target_tasks(study(targets=("xnli", "tatoeba"), languages=("en", "de")))
    assert few == {"xnli": ("de", "en"), "tatoeba": ("de",)}
    with pytest.raises(StiltsError, match="scores yo, and no target has any of them"):
        target_tasks(study(languages=("yo",)))


def test_the_seven_studies_ship_and_each_has_a_small_scale_with_its_baseline():
    own = ["low_resource", "merging", "mixed_languages", "models", "phang2020", "retrieval", "typos"]
    assert list_studies() == own
    for name in own:
        full = load_study(name)
        small = scaled(full, "small")
        assert full.name == name and full.description.startswith("Whether")
        assert full.baseline == small.baseline == "none" and len(full.seeds) >= 3
        assert 1 < len(small.arms) <= len(full.arms) and small.limit == 200
        assert {reads.steps for reads in arm_reads(small).values()} == {500}, "also where the arm sets steps"
        assert all("@" in base for base in full.base), "a pinned commit"


def test_an_unknown_scale_or_arm_is_refused():
    with pytest.raises(StiltsError, match="No scale 'smal'; there are full and small"):
        scaled(study(), "smal")
    with pytest.raises(StiltsError, match="has no arm 'mnly'. Did you mean mnli"):
        scaled(study(small={"arms": ("none", "mnly")}), "small")


def test_a_study_is_found_by_the_path_of_its_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    found = load_study(str(file))
    assert (found.name, found.description, list(found.arms)) == ("mine", "Is it so?", ["none", "x"])
    file.write_text("OTHER = 1\n")
    with pytest.raises(StiltsError, match=r"has no STUDY = Study\(...\). Define it"):
        load_study(str(file))
    file.write_text("1 / 0\n")
    with pytest.raises(StiltsError, match=r"ends in ZeroDivisionError.*defines STUDY = Study"):
        load_study(str(file))
    with pytest.raises(FileNotFoundError, match=r"No study file at .*none.py.*STUDY = Study"):
        load_study(str(tmp_path / "none.py"))
    with pytest.raises(StiltsError, match="No study 'phang202'. Did you mean phang2020.*hf-stilts study list"):
        load_study("phang202")


def test_a_study_is_found_by_the_entry_point_of_another_package(tmp_path, monkeypatch):
    (tmp_path / "their_study.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    info = tmp_path / "their_studies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-studies\nVersion: 1.0\n")
    points = f"[{module.ENTRY_POINTS}]\ntheirs = their_study\nnamed = their_study:STUDY\n"
    (info / "entry_points.txt").write_text(points)
    assert {"theirs", "named"} < {*list_studies()}
    assert load_study("theirs").name == "theirs" and load_study("named").name == "named"


def test_the_commands_list_and_show(mistake):
    code, text = run("study", "list", "--json")
    assert code == 0 and [row["name"] for row in json.loads(text)] == list_studies()
    assert "Phang et al. 2020" in run("study", "list")[1]
    shown = json.loads(run("study", "show", "phang2020", "--json")[1])
    assert shown["arms"]["none"] is None and shown["arms"]["all nine"]["cap"] == 131072
    assert set(shown) == {each.name for each in fields(Study)}
    assert "mnli: mnli" in run("study", "show", "models")[1]
    small = json.loads(run("study", "show", "phang2020", "--scale", "small", "--json")[1])
    assert small["flags"] == {"max_steps": 500}
    assert "No study 'phang'" in mistake("study", "show", "phang")


def test_studies_are_data_without_a_framework():
    code = "import sys, hf_stilts; [getattr(hf_stilts, n) for n in ('Study', 'Intermediate')]\n"
    code += "from hf_stilts.studies.study import load_study, list_studies\n[load_study(n) for n in list_studies()]\n"
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    heavy = {"torch", "transformers", "datasets", "pandas", "numpy", "huggingface_hub"}
    assert not heavy & {*done.stdout.split()}
    assert hf_stilts.Study is Study and replace(study(), name="x").name == "x"
