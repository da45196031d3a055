"""Tasks are data: every one of them reads its rows as the Hub stores them, and others can bring their own."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import stored_intermediate
import stored_languages
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

import hf_stilts.dataset_scripts
import hf_stilts.tasks
from hf_stilts.data.canonical import canonical
from hf_stilts.data.load import served
from hf_stilts.dataset_scripts import list_converters
from hf_stilts.declarations import list_kinds
from hf_stilts.errors import StiltsError
from hf_stilts.languages import LANGUAGES
from hf_stilts.readme import render
from hf_stilts.task import Task, list_tasks, load_task

OWN = sorted(module.name for module in pkgutil.iter_modules(hf_stilts.tasks.__path__))
STRING, STRINGS, ANSWERS = (
    Value("string"),
    List(Value("string")),
    {"text": List(Value("string")), "answer_start": List(Value("int32"))},
)
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
SQUAD = {
    "id": "7",
    "title": "Owls",
    "context": "An owl.",
    "question": "What?",
    "answers": {"text": ["owl"], "answer_start": [3]},
}

NLI = ["entailment", "neutral", "contradiction"]
CHOICES, FIVE = {"label": STRINGS, "text": STRINGS}, {"label": [*"ABCDE"], "text": [*"vwxyz"]}
MINED = {
    "source_ids": ["1", "2"],
    "source": ["Eule", "Maus"],
    "target_ids": ["1"],
    "target": ["a mouse"],
    "gold": [["2", "1"]],
}

FOUND = {
    "query_ids": ["7_de"],
    "queries": ["Was?"],
    "candidate_ids": ["de_1_0", "de_1_1"],
    "candidates": ["Hallo. Hallo. Eine Eule.", "Eine Eule. Hallo. Eine Eule."],
    "gold": [["de_1_1"]],
}

# One row as the task's data set on the Hub stores it, with the types there, and what a kind must see of it.
STORED = {
    "mnli": (
        {"premise": STRING, "hypothesis": STRING, "label": ClassLabel(names=NLI), "idx": Value("int32")},
        {"premise": "p", "hypothesis": "h", "label": 1, "idx": 0},
        {"text": "p", "text_pair": "h", "label": 1},
    ),
    "xnli": (
        {"premise": STRING, "hypothesis": STRING, "label": ClassLabel(names=NLI)},
        {"premise": "p", "hypothesis": "h", "label": 2},
        {"text": "p", "text_pair": "h", "label": 2},
    ),
    "mlqa": (
        {"id": STRING, "title": STRING, "context": STRING, "question": STRING, "answers": ANSWERS},
        SQUAD,
        {key: SQUAD[key] for key in ("id", "question", "context", "answers")},
    ),
    "xcopa": (
        {"premise": STRING, "choice1": STRING, "choice2": STRING, "question": STRING, "label": Value("int32"),
         "idx": Value("int32"), "changed": Value("bool")},
        {"premise": "It rained.", "choice1": "a", "choice2": "b", "question": "effect", "label": 1, "idx": 0,
         "changed": False},
        {"context": "It rained.", "question": "What was the effect?", "choices": ["a", "b"], "label": 1},
    ),
    "squad_v1": (
        {"id": STRING, "title": STRING, "context": STRING, "question": STRING, "answers": ANSWERS},
        SQUAD,
        {key: SQUAD[key] for key in ("id", "question", "context", "answers")},
    ),
    "xquad": (
        {"id": STRING, "context": STRING, "question": STRING, "answers": ANSWERS},
        {key: SQUAD[key] for key in ("id", "context", "question", "answers")},
        {key: SQUAD[key] for key in ("id", "question", "context", "answers")},
    ),
    "multichecklist": (
        {"id": STRING, "context": STRING, "question": STRING, "answers": ANSWERS, "test_case": STRING},
        {**{key: SQUAD[key] for key in ("id", "context", "question", "answers")}, "test_case": "comp-0"},
        {**{key: SQUAD[key] for key in ("id", "question", "context", "answers")}, "test_case": "comp-0"},
    ),
    "commonsenseqa": (
        {"id": STRING, "question": STRING, "question_concept": STRING, "choices": CHOICES, "answerKey": STRING},
        {"id": "7", "question": "Where?", "question_concept": "owl", "choices": FIVE, "answerKey": "D"},
        {"id": "7", "context": "Where?", "choices": [*"vwxyz"], "label": 3},
    ),
    "udpos": (
        {"tokens": STRINGS, "pos_tags": List(ClassLabel(names=UPOS))},
        {"tokens": ["owls", "see"], "pos_tags": [7, 15]},
        {"tokens": ["owls", "see"], "tags": [7, 15]},
    ),
    "tatoeba": (
        {"sentence1": STRING, "sentence2": STRING, "lang": STRING},
        {"sentence1": "Eule", "sentence2": "owl", "lang": "deu-eng"},
        {"source": "Eule", "target": "owl"},
    ),
    "tatoeba112": (
        {"sentence1": STRING, "sentence2": STRING, "lang": STRING},
        {"sentence1": "Gat", "sentence2": "cat", "lang": "cat-eng"},
        {"source": "Gat", "target": "cat"},
    ),
    "bucc2018": (
        {"sentence1": STRINGS, "sentence2": STRINGS, "gold": List(List(Value("int64")))},
        {"sentence1": ["Eule", "Maus"], "sentence2": ["a mouse"], "gold": [[2, 1]]},
        MINED,
    ),
    "lareqa": (
        {name: STRINGS for name in FOUND if name != "gold"} | {"gold": List(STRINGS)},
        FOUND,
        FOUND,
    ),
    "mewslix": (
        {"query_ids": STRINGS, "queries": STRINGS, "gold": List(STRINGS)},
        {name: FOUND[name] for name in ("query_ids", "queries", "gold")},
        {name: FOUND[name] for name in ("query_ids", "queries", "gold")},
    ),
    "xtreme_up_retrieval": (
        {"query_ids": STRINGS, "queries": STRINGS, "gold": List(STRINGS)},
        {name: FOUND[name] for name in ("query_ids", "queries", "gold")},
        {name: FOUND[name] for name in ("query_ids", "queries", "gold")},
    ),
    "mewslix_pairs": (
        {"query": STRING, "candidate": STRING, "entity_id": STRING},
        {"query": "owl: An { owl }", "candidate": "A bird.", "entity_id": "Q25222"},
        {"query": "owl: An { owl }", "candidate": "A bird."},
    ),
    "squad_sentences": (
        {"id": STRING, "title": STRING, "context": STRING, "question": STRING, "answers": ANSWERS},
        SQUAD | {"context": "Hi there. An owl.", "answers": {"text": ["owl"], "answer_start": [13]}},
        {"id": "7", "query": "What?", "candidate": "An owl.Hi there. An owl."},
    ),
} | stored_intermediate.STORED | stored_languages.STORED  # fmt: skip


@pytest.mark.parametrize("name", [name for name in OWN if not load_task(name).parts])
def test_rows_as_the_hub_stores_them_become_canonical(name):
    assert name in STORED, f"add a stored row of {name} to this file"
    features, stored, expected = STORED[name]
    rows = Dataset.from_list([stored], features=Features(features))
    corpora = load_task(name).kind in ("bitext-mining", "answer-retrieval")
    for limit in (None, 1):
        found = canonical(rows, load_task(name), limit=limit)[0]
        assert found == (expected if corpora else {"id": "0", **expected}), "without ids of its own, by its place"


@pytest.mark.parametrize("name", OWN)
def test_a_task_says_what_a_reader_needs(name):
    task = load_task(name)
    assert task.name == name
    assert task.kind in list_kinds()
    assert task.description and task.license and task.paper
    converted = {load_task(converter).dataset for converter in list_converters()}
    assert all("/" in source.dataset or source.dataset in converted for source in task.sources)
    assert task.revision is None or (len(task.revision) == 40 and int(task.revision, 16)), "a commit, never a branch"
    assert not task.has_head or all(load_task(each).kind == task.kind for each in task.train)
    if task.config:
        configs = [task.config_for(language) for language in task.languages]
        assert len(set(configs)) == len(configs) or "{" not in task.config


def test_the_tasks_of_this_release_are_listed():
    assert {"mnli", "squad_v1", "commonsenseqa", "udpos", "xquad", "tatoeba", "bucc2018"} <= set(list_tasks())


def test_listing_tasks_loads_nothing_heavy():
    code = "import sys, hf_stilts.task as t; [t.load_task(n) for n in t.list_tasks()]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "numpy", "huggingface_hub"} & set(loaded)


@pytest.mark.parametrize(("wrong", "meant"), [("udpso", "udpos"), ("xqad", "xquad"), ("tatoeb", "tatoeba")])
def test_an_unknown_name_suggests_the_nearest(wrong, meant):
    with pytest.raises(StiltsError, match=f"Did you mean {meant}.*hf-stilts tasks"):
        load_task(wrong)


def test_a_name_like_no_other_lists_all():
    with pytest.raises(StiltsError, match="anli_plus, belebele, bucc2018, ccg, commonsenseqa"):
        load_task("zzzzzz")


TASK_FILE = '''"""Owls: is it an owl? A task of somebody else."""
from hf_stilts.task import Task
TASK = Task(kind="text-classification", dataset="owls/owls", labels=("no", "yes"))
'''


def test_a_file_is_a_task(tmp_path):
    (tmp_path / "owls.py").write_text(TASK_FILE)
    task = load_task(str(tmp_path / "owls.py"))
    assert (task.name, task.description) == ("owls", "Owls: is it an owl? A task of somebody else.")
    assert load_task(task) is task
    with pytest.raises(FileNotFoundError, match="No task file"):
        load_task(str(tmp_path / "absent.py"))
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(StiltsError, match=r"no TASK = Task\(...\)"):
        load_task(str(tmp_path / "empty.py"))


@pytest.mark.parametrize("points_at", ["installed_owls", "installed_owls:TASK"])
def test_an_installed_package_brings_its_tasks(tmp_path, monkeypatch, points_at):
    info = tmp_path / "installed_owls-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-owls\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[hf_stilts.tasks]\nowls = {points_at}\n")
    (tmp_path / "installed_owls.py").write_text(TASK_FILE)
    assert "owls" not in list_tasks()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "installed_owls", raising=False)
    assert "owls" in list_tasks()
    assert (load_task("owls").name, load_task("owls").dataset) == ("owls", "owls/owls")
    with pytest.raises(StiltsError, match="Did you mean owls"):
        load_task("owl")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "tagging"}, "has kind 'tagging'.*Set kind="),
        ({"columns": {"premise": "text"}}, "maps column 'premise'.*left of columns="),
        ({"languages": ("en", "xx")}, "language 'xx'"),
        ({"dataset": ""}, "expected one of the two"),
        ({"parts": ("mnli",)}, "expected one of the two"),
        ({"labels": ("yes",), "aliases": {"ja": "jes"}}, "alias ja -> jes"),
    ],
)
def test_a_task_that_no_kind_could_read_is_refused(wrong, said):
    with pytest.raises(StiltsError, match=said):
        Task(**{"kind": "text-classification", "dataset": "x/y", **wrong})


@settings(deadline=None)
@given(labels=st.lists(st.text(st.characters(categories=["L"]), min_size=1), min_size=1, max_size=6, unique=True))
def test_a_label_is_found_by_name_and_by_number(labels):
    task = Task(kind="text-classification", dataset="x/y", labels=tuple(labels))
    for number, label in enumerate(labels):
        assert task.label_id(label) == task.label_id(number) == task.label_id(str(number)) == number
    assert task.label_id(-1) == task.label_id("-1") == -1
    for stray in (len(labels), -2, "no such label"):
        with pytest.raises(StiltsError):
            task.label_id(stray)


def test_configurations_are_named_by_code_or_by_name():
    assert [load_task("tatoeba").config_for(each) for each in ("de", "fa", "zh")] == ["deu-eng", "pes-eng", "cmn-eng"]
    assert load_task("udpos").config_for("el") == "udpos.Greek"
    assert load_task("commonsenseqa").config_for("en") is None
    assert len({language.iso3 for language in LANGUAGES.values()}) == len(LANGUAGES) == 50


def test_languages_are_those_of_the_benchmarks():
    xtreme_r = {"xnli": 15, "xcopa": 11, "udpos": 38, "mlqa": 7, "xquad": 12, "tatoeba": 41, "tatoeba112": 112}
    assert {name: len(set(load_task(name).languages)) for name in xtreme_r} == xtreme_r
    assert set(load_task("udpos").languages) >= {"lt", "pl", "ro", "uk", "wo"}
    assert load_task("mlqa").config_for("vi") == "MLQA.vi.vi"


def test_configurations_of_languages_beyond_xtreme():
    assert [load_task("sib200").config_for(each) for each in ("ha", "zh_Hant", "or")] == [
        "hau_Latn", "zho_Hant", "ory_Orya",
    ]  # fmt: skip
    assert [load_task("massive").config_for(each) for each in ("sv", "zh_Hant")] == ["sv", "zh-TW"]
    assert [load_task("masakhaner2").config_for(each) for each in ("sw", "ha")] == ["swa", "hau"]
    assert [load_task("americasnli").config_for(each) for each in ("qu", "gn")] == ["quy", "gn"]
    assert [load_task("wikiann").config_for(each) for each in ("nb", "yue", "gsw")] == [
        "no", "zh-yue", "als",
    ]  # fmt: skip
    assert set(load_task("panx").languages) < set(load_task("wikiann").languages)
    assert load_task("panx").revision == load_task("wikiann").revision, "the same rows"
    assert [load_task("uner").config_for(each) for each in ("sv", "zh_Hant")] == ["sv_talbanken", "zh_gsd"]
    sizes = {"wikiann": 172, "uner": 13, "xstorycloze": 11, "indicxnli": 11}
    assert {name: len(set(load_task(name).languages)) for name in sizes} == sizes
    sizes = {"sib200": 205, "belebele": 122, "flores": 203, "massive": 51, "masakhaner2": 20, "masakhapos": 20}
    assert {name: len(set(load_task(name).languages)) for name in sizes} == sizes
    assert {load_task("belebele").config_for(each) for each in load_task("belebele").languages} >= {
        "arb_Latn", "npi_Latn", "tgl_Latn", "ckb_Arab", "gaz_Latn",
    }  # fmt: skip


def test_languages_that_the_hub_lacks_are_not_asked_of_it(monkeypatch, tmp_path):
    monkeypatch.delenv("HF_STILTS_DATA", raising=False)
    assert set(load_task("udpos").languages) - set(served("udpos")) == {"lt", "pl", "ro", "uk", "wo"}
    assert served("udpos", tmp_path) == load_task("udpos").languages, "who builds a mirror has all of them there"
    assert all(set(load_task(name).built) <= set(load_task(name).languages) for name in OWN)


def test_a_split_has_its_own_name_in_the_data_set():
    assert load_task("mnli").split_for("validation") == "validation_matched"
    assert load_task("mnli").split_for("train") == "train"
    assert json.dumps(dict(load_task("xquad").splits)) == '{"test": "validation"}'


@pytest.mark.parametrize(("splits", "said"), [({"dev": "test"}, "'dev'"), ({"validation": None}, "None for its split")])
def test_a_split_is_one_of_three_and_has_the_name_of_one(splits, said):
    with pytest.raises(StiltsError, match=said):
        Task(kind="text-classification", dataset="user/rows", labels=("yes", "no"), splits=splits)


NINE = {"anli_plus", "mnli", "qqp", "squad_v2", "squad_v1", "hellaswag", "ccg", "cosmosqa", "commonsenseqa"}
MULTILINGUAL = {
    "xnli_translate_train": 15,
    "pawsx": 7,
    "tydiqa": 9,
    "panx": 48,
    "udpos": 38,
    "squad_translate_train": 10,
}


def test_intermediate_tasks_are_those_of_the_paper_and_train_in_their_languages():
    assert NINE | {"siqa", "copa"} | {*MULTILINGUAL} <= {*list_tasks()}
    assert {name: len(load_task(name).languages) for name in MULTILINGUAL} == MULTILINGUAL
    # XCOPA's recipe trains on Social IQa, then on COPA; jiant's main metrics where the paper is silent
    metrics = {"qqp": "acc_and_f1", "squad_v1": "em_and_f1", "squad_v2": "best_em_and_f1", "ccg": "accuracy"}
    assert {name: load_task(name).metric for name in metrics} == metrics


def test_parts_are_tasks_of_the_same_kind_and_labels():
    for name in list_tasks():
        task = load_task(name)
        assert all(source.kind == task.kind and {*source.labels} == {*task.labels} for source in task.sources)
    assert [source.name for source in load_task("anli_plus").sources] == ["anli", "mnli", "snli"]


def test_the_table_of_converters_is_not_stale():
    path = Path(hf_stilts.dataset_scripts.__file__).resolve().with_name("README.md")
    text = path.read_text(encoding="utf-8")
    assert render(text) == text, "run: python -m hf_stilts.readme dataset_scripts/README.md"
