"""Cells: known by what decides their result and by nothing else, in an order that finishes whole comparisons first."""

import json
from dataclasses import replace

import mirrors
import pytest

from hf_stilts.errors import StiltsError
from hf_stilts.studies.cells import NEWEST, base_of, identity, unfold
from hf_stilts.studies.study import Intermediate, Study, with_flags

BASE = "org/base@0123456789012345678901234567890123456789"


def study(**other):
    fields = {"base": (BASE,), "arms": {"none": None, "mnli": Intermediate("mnli")}, "targets": ("xquad", "mlqa")}
    return Study(**{**fields, "seeds": (0,), "name": "tried", **other})


def stages(found):
    return [(cell.stage, cell.title) for cell in found.cells.values()]


def identities(**other):
    return set(unfold(study(**other)).cells)


def test_a_study_becomes_trainings_and_scores_each_once():
    found = unfold(study())
    assert stages(found) == [
        ("target", "squad_v1 after none, base, seed 0"),
        ("scores", "xquad scores after none, base, seed 0"),
        ("intermediate", "mnli, base, seed 0"),
        ("target", "squad_v1 after mnli, base, seed 0"),
        ("scores", "xquad scores after mnli, base, seed 0"),
        ("scores", "mlqa scores after none, base, seed 0"),  # trained on the same rows as xquad
        ("scores", "mlqa scores after mnli, base, seed 0"),
    ]
    for cell in found.cells.values():
        assert all(list(found.cells).index(need) < list(found.cells).index(cell.identity) for need in cell.needs)


def test_one_seed_of_all_arms_comes_before_the_next_seed():
    titles = [title for _, title in stages(unfold(study(seeds=(5, 7), targets=("xquad",))))]
    assert [title.rpartition("seed ")[2] for title in titles] == ["5"] * 5 + ["7"] * 5


def test_retrieval_needs_no_training_and_the_base_has_no_seed():
    found = unfold(study(targets=("tatoeba",), seeds=(0, 1)))
    assert [stage for stage, _ in stages(found)] == ["scores", "intermediate", "scores", "intermediate", "scores"]
    by_arm = {(entry.arm, entry.seed): entry.scores for entry in found.entries}
    assert by_arm["none", 0] == by_arm["none", 1] and by_arm["mnli", 0] != by_arm["mnli", 1]


def test_every_factor_has_its_places_in_the_table():
    factors = {
        "train_on": {"English": "en", "all": "all"},
        "adapter": (None, "lora=4"),
        "noise": (None, "keyboard=0.1"),
    }
    found = unfold(study(targets=("pawsx",), **factors))
    assert len(found.entries) == 2 * 2 * 2 * 2  # and two arms
    trained = [cell for cell in found.cells.values() if cell.stage == "target"]
    assert len(trained) == 2 * 2 * 2 and len({entry.scores for entry in found.entries}) == 16
    languages = {cell.call["options"].get("languages") for cell in trained}
    assert languages == {None, "de,en,es,fr,ja,ko,zh"}
    assert "pawsx after mnli, base, all, lora=4, seed 0" in {cell.title for cell in trained}


def test_what_decides_a_result_decides_the_identity():
    plain = identities()
    for change in (
        {"recipe": "xtreme-2020"},
        {"flags": {"learning_rate": 1e-4}},
        {"seeds": (1,)},
        {"base": (BASE[:-1] + "a",)},
        {"train_limit": 100},
        {"split": "validation"},
        {"limit": 10},
        {"arms": {"none": None, "mnli": Intermediate("mnli", languages={"en": 0.5, "sw": 0.5})}},
    ):
        scores = {entry.scores for entry in unfold(study(**change)).entries if entry.arm == "mnli"}
        assert not scores & plain, change


def test_what_decides_no_result_decides_no_identity(tmp_path):
    plain = identities()
    renamed = {"baseline": None, "natural language inference": Intermediate("mnli", languages="en")}
    assert identities(arms=renamed, name="other", report=("best",), controls=("steps",)) == plain
    assert identities(flags={"logging_steps": 5, "disable_tqdm": True, "use_cpu": True}) == plain
    fewer, more = identities(targets=("xquad",)), identities(seeds=(0, 1))
    assert fewer < plain < more, "arms, targets and studies share cells"


def test_an_identity_is_the_same_in_every_process_and_order():
    spec = {"b": [1, 2.5], "a": {"y": None, "x": "é"}}
    assert identity(spec) == identity(json.loads(json.dumps(dict(reversed(spec.items())))))
    assert identity(spec) == "b5e6f8f1f47f9d47562d"  # sha256 of {"a":{"x":"é","y":null},"b":[1,2.5]}
    assert len(identity({})) == 20 and identity({}) != identity({"a": 1})


def test_a_base_in_a_folder_is_known_by_its_files(tmp_path):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "config.json").write_text("{}")
    assert base_of(str(tmp_path / "one"))[1] == base_of(str(tmp_path / "two"))[1]
    (tmp_path / "two" / "config.json").write_text("{ }")
    assert base_of(str(tmp_path / "one"))[1] != base_of(str(tmp_path / "two"))[1]
    assert base_of("org/model@abc") == ("org/model", "abc") and base_of("org/model") == ("org/model", NEWEST)
    assert base_of("org/model", {"org/model": "def"}) == ("org/model", "def")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StiltsError, match="holds no model: a config.json and weights are expected"):
        base_of(str(tmp_path / "empty"))
    with pytest.raises(StiltsError, match="no folder ./none here, and it is no name of a model"):
        base_of("./none")


def test_flags_hold_for_arms_and_targets_and_an_arm_may_have_its_own():
    arms = {"none": None, "mnli": Intermediate("mnli", flags={"max_steps": 7})}
    found = unfold(study(arms=arms, flags={"max_steps": 5, "bf16": True}))
    steps = {cell.stage: cell.call["flags"] for cell in found.cells.values() if cell.stage != "scores"}
    assert steps["intermediate"] == ["--max_steps", "7", "--bf16", "true"]
    assert steps["target"] == ["--max_steps", "5", "--bf16", "true"]
    everywhere = unfold(with_flags(study(arms=arms), {"max_steps": 2}))
    assert all(cell.spec["flags"] == {"max_steps": [2]} for cell in everywhere.cells.values() if cell.stage != "scores")


def test_masked_language_modelling_in_all_languages_is_a_mixture_of_its_texts():
    arms = {
        "mlm": Intermediate("fill_mask", languages="all"),
        "German": Intermediate("fill_mask", languages="de"),
        "both": Intermediate("mnli", "fill_mask", sampler="uniform", cap=10),
    }
    found = unfold(study(arms=arms, targets=("tatoeba",)))
    mlm, german, both = (cell for cell in found.cells.values() if cell.stage == "intermediate")
    assert mlm.call["options"] == {"mixture": True} and len(mlm.spec["data"]["fill_mask"]) == 40
    assert german.call["options"] == {"languages": "de"}
    assert both.call["options"] == {"mixture": True, "sampler": "uniform", "cap": 10}
    assert list(both.spec["data"]["mnli"]) == ["en"] and len(both.spec["data"]["fill_mask"]) == 40


def test_rows_that_are_not_there_are_found_before_anything_is_done(tmp_path):
    arms = {"none": None, "ccg": Intermediate("ccg"), "translated": Intermediate("mnli", languages="de-t-en")}
    found = unfold(study(arms=arms, targets=("xquad",)))
    blocked = {found.cells[name].title: problem for name, problem in found.blocked().items()}
    assert {title.partition(",")[0] for title in blocked} == {
        "ccg", "translated", "squad_v1 after ccg", "squad_v1 after translated",
        "xquad scores after ccg", "xquad scores after translated",
    }  # fmt: skip
    assert "on no Hub. Build them: hf-stilts data build ccg" in blocked["ccg, base, seed 0"]
    assert "no rows in 'de-t-en' on the Hub" in blocked["xquad scores after translated, base, seed 0"]


def test_a_mirror_is_known_by_its_content_and_lacks_what_it_lacks(tmp_path):
    small = study(arms={"none": None}, targets=("udpos", "xquad"), languages=("en", "de", "fi"))
    one = unfold(small, data_dir=mirrors.build(tmp_path / "one", mirrors.SMALL))
    two = unfold(small, data_dir=mirrors.build(tmp_path / "two", mirrors.SMALL))
    more = unfold(small, data_dir=mirrors.build(tmp_path / "more", mirrors.SMALL, count=11))
    assert set(one.cells) == set(two.cells) and not set(one.cells) & set(more.cells)
    assert not one.blocked()
    wider = replace(small, languages=("en", "de", "fi", "fr"))
    found = unfold(wider, data_dir=tmp_path / "one")
    (problem,) = found.blocked().values()
    assert "udpos has no test rows here in 1 of 4 languages: fr" in problem
    without = unfold(wider, data_dir=tmp_path / "one", available=True)
    assert not without.blocked() and set(without.cells) == set(one.cells)


def test_noise_is_read_as_the_single_commands_read_it():
    spelt = [unfold(study(noise=(None, each))) for each in ("keyboard=0.1", "keyboard=0.10")]
    assert set(spelt[0].cells) == set(spelt[1].cells)
    said = {cell.call["noise"] for cell in spelt[1].cells.values() if cell.stage == "scores"}
    assert said == {None, "keyboard=0.1"}
    with pytest.raises(StiltsError, match="No noise 'keybord'. Did you mean keyboard"):
        unfold(study(noise=("keybord=0.1",)))


def test_noise_seeds_score_the_same_models_on_other_errors():
    one, three = (unfold(study(noise=(None, "keyboard=0.1"), noise_seeds=seeds)) for seeds in ((0,), (0, 3, 4)))
    assert set(one.cells) < set(three.cells)  # what was scored with seed 0 is not scored again
    more = [cell for name, cell in three.cells.items() if name not in one.cells]
    assert {(cell.stage, cell.call["noise"], cell.call["noise_seed"]) for cell in more} == {
        ("scores", "keyboard=0.1", 3),
        ("scores", "keyboard=0.1", 4),
    }
    assert {(entry.noise, entry.noise_seed) for entry in three.entries} == {
        (None, 0), ("keyboard=0.1", 0), ("keyboard=0.1", 3), ("keyboard=0.1", 4),
    }  # fmt: skip
    assert all("noise seed" in cell.title for cell in more) and len({cell.title for cell in more}) == len(more)
    with pytest.raises(StiltsError, match="noise_seeds"):
        study(noise_seeds=(0, -1))


def test_training_rows_may_be_misspelt_and_are_those_of_their_source():
    arms = {"mnli": Intermediate("mnli"), "misspelt": Intermediate("mnli", languages="en-x-nz10-keyboard-0")}
    found = unfold(study(arms=arms))
    plain, misspelt = (cell for cell in found.cells.values() if cell.stage == "intermediate")
    assert not found.blocked()
    (revision,) = plain.spec["data"]["mnli"].values()
    assert misspelt.spec["data"]["mnli"] == {"en-x-nz10-keyboard-0": f"{revision} as en-x-nz10-keyboard-0"}
    assert misspelt.call["options"] == {"languages": "en-x-nz10-keyboard-0"}
    assert unfold(study(arms={"x": Intermediate("mnli", languages="de-t-en-x-nz10-keyboard-0")})).blocked()


def test_noise_of_training_rows_is_the_tag_that_names_them():
    def cells(**options):
        return list(unfold(study(arms={"mnli": Intermediate("mnli", **options)})).cells)

    assert cells(noise="keyboard=0.1") == cells(languages="en-x-nz10-keyboard-0") != cells()
    assert cells(noise="keyboard=0") == cells()
    shares = {"en": 0.5, "de-t-en": 0.5}
    tags = {"en-x-nz5-case-0": 0.5, "de-t-en-x-nz5-case-0": 0.5}
    assert cells(languages=shares, noise="case=0.05") == cells(languages=tags)
    with_switched = unfold(study(arms={"x": Intermediate("mnli", languages="en-x-cs50-de", noise="case=0.05")}))
    first = next(iter(with_switched.cells.values()))
    assert first.call["options"]["languages"] == "en-x-cs50-de-nz5-case-0"


def test_training_rows_of_targets_may_be_misspelt():
    train_on = {"English": "en", "misspelt": "en"}
    found = unfold(study(targets=("pawsx",), train_on=train_on, train_noise={"misspelt": "keyboard=0.1"}))
    options = {cell.title: cell.call["options"] for cell in found.cells.values() if cell.stage == "target"}
    assert options["pawsx after none, base, English, seed 0"] == {}
    assert options["pawsx after none, base, misspelt, seed 0"] == {"languages": "en-x-nz10-keyboard-0"}
    every = unfold(study(targets=("xquad",), train_on={"all": "all"}, train_noise={"all": "keyboard=0.1"}))
    read = next(cell for cell in every.cells.values() if cell.stage == "target")
    assert read.call["options"] == {"languages": "en-x-nz10-keyboard-0"}  # SQuAD, which it trains on, has English alone


def test_shots_train_the_target_model_further_in_each_language_and_score_it_there(tmp_path):
    given = {"arms": {"none": None}, "targets": ("pawsx", "xquad"), "languages": ("en", "de", "fr")}
    plain, found = unfold(study(**given)), unfold(study(**given, shots=(0, 100, 10)))
    assert set(plain.cells) < set(found.cells)  # what was run without shots is not run again
    few = [(entry.task, entry.language, entry.shots) for entry in found.entries if entry.shots]
    assert few == [("pawsx", "de", 10), ("pawsx", "de", 100), ("pawsx", "fr", 10), ("pawsx", "fr", 100)]
    assert [entry for entry in found.entries if not entry.shots] == plain.entries
    entry = next(entry for entry in found.entries if entry.shots == 10)
    further, scores = found.cells[entry.trained], found.cells[entry.scores]
    english = next(each for each in plain.entries if each.task == "pawsx").trained
    assert further.needs == (english,) and scores.needs == (entry.trained,)
    assert further.call["options"] == {"languages": "de", "limit": 10, "keep_head": True}
    assert further.call["task"] == "pawsx" and scores.call["languages"] == ["de"]
    assert further.title == "pawsx on 10 de rows after none, base, seed 0"
    some = {"udpos": {"train": ["en", "de"], "validation": ["en"], "test": ["en", "de", "fr"]}}
    tagging = study(**given | {"targets": ("udpos",)}, shots=(0, 10))
    in_mirror = unfold(tagging, data_dir=mirrors.build(tmp_path, some))
    assert {each.language for each in in_mirror.entries if each.shots} == {"de"}  # French has no rows to train on
    read = unfold(study(**given, shots=(0, 10), train_on={"both": ("en", "de")}))
    assert {each.language for each in read.entries if each.shots} == {"fr"}
