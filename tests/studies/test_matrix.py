"""The transfer matrix from an embedded Hub: what compares, what does not and why, and what others may write."""

import json
from dataclasses import replace

import pytest
from command import run
from huggingface_hub import CommitOperationAdd, constants, get_session
from pending_checkpoints import api_of

from hf_stilts.errors import StiltsError
from hf_stilts.hub.card import render
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.record import ParentModel, Record, TaskSource
from hf_stilts.hub.scores import add_scores, score_rows
from hf_stilts.studies import pictures
from hf_stilts.studies.figures import gain_matrix
from hf_stilts.studies.matrix import transfer_matrix

BASE = ParentModel("FacebookAI/xlm-roberta-base", license="mit")
REVISION = "a" * 40
RECIPE = {"learning_rate": 1e-5, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 2}
XNLI = TaskSource("xnli", "facebook/xnli", "en", REVISION, "train", 1000, language="en")


@pytest.fixture
def api(hub, stock):
    return api_of(hub)


@pytest.fixture
def put(api):
    """Put a repository with a record and its card onto the Hub: `put("org/name", record, {path: text})`."""

    def run(name, record=None, files=(), card=None):
        api.create_repo(name)
        texts = {} if record is None else {"stilts.json": record.to_json(), "README.md": render(record, name, "step-2")}
        texts |= dict(files) | ({} if card is None else {"README.md": card})
        operations = [CommitOperationAdd(path, text.encode()) for path, text in texts.items()]
        return api.create_commit(name, operations, commit_message="a model").oid

    return run


def intermediate(task="mnli", **changes):
    source = TaskSource(task, f"data/{task}", language="en", rows=500)
    return Record(tasks=(source,), parent=BASE, languages=("en",), step=2, **changes)


def target(parent=BASE, seed=0, by_language=None, **changes):
    known = {"phase": "target", "tasks": (XNLI,), "parent": parent, "languages": ("en",), "step": 2, "seed": seed}
    known |= {"recipe": RECIPE, "metrics_by_language": by_language or {}}
    return Record(**known | changes)


def row(language, score, **changes):
    return {
        "task": "xnli", "language": language, "metric": "accuracy", "score": score, "main": True, "rows": 5010,
        "split": "test", "setting": "in-language" if language == "en" else "zero-shot", "data_revision": REVISION,
    } | changes  # fmt: skip


def scored(record, scores, **changes):
    """A record with scores in some languages, and the file beside it that says what decided them."""
    rows = [row(language, score, **changes) for language, score in scores.items()]
    by_language = {each["language"]: {"xnli_accuracy": float(each["score"])} for each in rows}
    lines = "".join(json.dumps(each) + "\n" for each in rows)
    return replace(record, metrics_by_language=by_language), {"scores.jsonl": lines}


def one(rows, **wanted):
    found = [each for each in rows if all(each[name] == value for name, value in wanted.items())]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def published(api, put):
    """Two seeds of the baseline and two from MNLI, scored alike."""
    start = ParentModel("org/xlmr-stilts-mnli", put("org/xlmr-stilts-mnli", intermediate()))
    for seed, scores in enumerate([{"en": 80, "de": 60, "sw": 40}, {"en": 82, "de": 64, "sw": 42}]):
        put(f"org/plain-{seed}", *scored(target(seed=seed), scores))
    for seed, scores in enumerate([{"en": 82, "de": 66, "sw": 50}, {"en": 84, "de": 68}]):
        put(f"you/mnli-{seed}", *scored(target(start, seed=seed), scores))
    return start


def test_gains_are_differences_of_medians_by_language_and_targets_their_mean(api, published):
    found = transfer_matrix(api=api)
    cell = one(found.cells, language="de")
    assert (cell["intermediate"], cell["target"], cell["base"]) == ("mnli", "xnli", BASE.id)
    assert (cell["score"], cell["baseline"], cell["gain"]) == (67, 62, 5)
    assert (cell["runs"], cell["baseline_runs"], cell["setting"]) == (2, 2, "zero-shot")
    swahili = one(found.cells, language="sw")
    assert (swahili["gain"], swahili["runs"]) == (9, 1)
    task = one(found.tasks, target="xnli")
    assert (task["gain"], task["languages"], task["of"], task["runs"]) == (pytest.approx((2 + 5 + 9) / 3), 3, 3, 1)
    assert found.left_out == []
    comparison = one(found.comparisons, comparison=1)
    assert comparison["not stated"] == [] and comparison["conditions"]["batch"] == "32"
    assert found.lines() == [{"base": BASE.id, "intermediate": "mnli", "xnli": "+5.3"}]


def test_scores_that_were_got_otherwise_are_left_out_with_the_reason(api, put, published):
    cases = [
        ({"recipe": {**RECIPE, "learning_rate": 3e-5}}, {}, "learning_rate 3e-05 (baseline: 1e-05)"),
        ({"recipe": {**RECIPE, "gradient_accumulation_steps": 1}}, {}, "batch 16 (baseline: 32)"),
        ({"tasks": (replace(XNLI, rows=7),)}, {}, "trained on xnli en: 7 rows of facebook/xnli@aaaaaaaaaaaa"),
        ({}, {"data_revision": "b" * 40}, f"data revision {'b' * 40} (baseline: {REVISION})"),
        ({}, {"setting": "translate-train"}, "setting translate-train (baseline: zero-shot)"),
        ({}, {"split": "validation"}, "split validation (baseline: test)"),
        ({}, {"rows": 10}, "rows scored 10 (baseline: 5010)"),
        ({}, {"noise": "keyboard=0.1"}, "noise keyboard=0.1 (baseline: not stated)"),
        ({"library": "peft"}, {}, "adapter yes (baseline: not stated)"),
    ]
    for number, (changes, said, _) in enumerate(cases):
        put(f"other/model-{number}", *scored(target(published, **changes), {"sw": 90}, **said))
    found = transfer_matrix(api=api)
    for number, (_, _, why) in enumerate(cases):
        left = one(found.left_out, model=f"other/model-{number}")
        assert (left["intermediate"], left["target"], left["languages"]) == ("mnli", "xnli", ["sw"])
        assert why in left["why"]
    assert one(found.cells, language="sw")["score"] == 50, "and they are in no median"


def test_batches_are_compared_over_all_devices(api, put, published):
    recipe = {**RECIPE, "gradient_accumulation_steps": 1}
    put("you/two-devices", *scored(target(published, recipe=recipe, hardware={"devices": 2}), {"sw": 60}))
    assert one(transfer_matrix(api=api).cells, language="sw")["score"] == 55


def test_without_a_baseline_there_is_no_gain(api, put, published):
    large = ParentModel("FacebookAI/xlm-roberta-large")
    start = ParentModel("org/large-stilts-qqp", put("org/large-stilts-qqp", replace(intermediate("qqp"), parent=large)))
    put("you/large", *scored(target(start), {"de": 70, "sw": 50}))
    left = one(transfer_matrix(api=api).left_out, model="you/large")
    assert left["languages"] == ["de", "sw"] and "no baseline: xnli from FacebookAI/xlm-roberta-large" in left["why"]
    assert not transfer_matrix(base=large.id, api=api).cells
    assert transfer_matrix(base=BASE.id, targets=["xnli"], api=api).left_out == []
    assert not transfer_matrix(targets=["udpos"], api=api).cells
    assert not transfer_matrix("org", api=api).cells, "the baselines alone are org's"


def test_scores_of_which_nobody_says_more_compare_with_their_like_and_it_is_said(api, put):
    start = ParentModel("org/xlmr-stilts-mnli", put("org/xlmr-stilts-mnli", intermediate()))
    put("org/plain", target(by_language={"de": {"xnli_accuracy": 60.0, "xnli_f1": 1.0}}))
    put("org/mnli", target(start, by_language={"de": {"xnli_accuracy": 63.5}}))
    found = transfer_matrix(api=api)
    assert one(found.cells, language="de")["gain"] == 3.5
    assert one(found.comparisons, comparison=1)["not stated"] == ["data revision", "rows scored", "split"]
    add_scores("org/mnli", {"de": {"xnli_accuracy": 63.5}}, api, rows=[row("de", 63.5)])
    left = one(transfer_matrix(api=api).left_out, model="org/mnli")
    assert "(baseline: not stated)" in left["why"]


def test_rows_of_scores_that_a_later_checkpoint_replaced_are_not_read(api, put, published):
    name = "you/mnli-0"
    later = target(published, by_language={"de": {"xnli_accuracy": 10.0}})
    commit = api.create_commit(name, [CommitOperationAdd("stilts.json", later.to_json().encode())], commit_message="x")
    assert score_rows(api, name, commit.oid, later) == []
    assert one(transfer_matrix(api=api).cells, language="de")["score"] == 68


def test_published_again_a_score_replaces_its_row_and_others_stay(api, published):
    add_scores("org/plain-0", {"de": {"xnli_accuracy": 61.0}}, api, rows=[row("de", 61.0, noise=float("nan"))])
    found = resolve("org/plain-0", api=api)
    rows = score_rows(api, "org/plain-0", found.commit, found.record)
    assert {each["language"]: each["score"] for each in rows} == {"en": 80, "sw": 40, "de": 61} and len(rows) == 3
    assert rows[-1] == row("de", 61.0), "what a table of several tasks left empty is not said"


def test_intermediates_that_follow_each_other_and_other_languages_have_names_of_their_own(api, put, published):
    first = put("org/xlmr-stilts-fill_mask", replace(intermediate("fill_mask"), phase="pretraining"))
    parent = ParentModel("org/xlmr-stilts-fill_mask", first)
    german = TaskSource("mnli", "data/mnli", language="de", rows=500)
    second = replace(intermediate(), parent=parent, tasks=(german,), languages=("de",))
    start = ParentModel("org/chain", put("org/chain", second))
    put("you/chain", *scored(target(start), {"de": 70}))
    assert one(transfer_matrix(api=api).cells, intermediate="fill_mask > mnli-de")["gain"] == 8


def test_a_model_whose_start_nobody_published_is_named(api, put, published):
    put("you/local", target(ParentModel("checkpoint-500", published=False), by_language={"de": {"xnli_accuracy": 1.5}}))
    put("you/gone", target(ParentModel("you/x-stilts-ccg"), by_language={"de": {"xnli_accuracy": 1.5}}))
    left = {each["model"]: each["why"] for each in transfer_matrix(api=api).left_out}
    assert "a folder that was not published" in left["you/local"] and "cannot be read" in left["you/gone"]


def card(base, scores, tags=()):
    results = [
        f"  - task:\n      type: text-classification\n    dataset:\n      type: facebook/xnli\n      name: XNLI\n"
        f"      config: {language}\n      split: test\n      revision: {REVISION}\n"
        f"    metrics:\n    - type: accuracy\n      value: {value}\n"
        for language, value in scores.items()
    ]
    lines = [f"base_model: {base}", *(["tags:", *(f"- {tag}" for tag in tags)] if tags else [])]
    return "---\n" + "\n".join(lines) + "\nmodel-index:\n- name: m\n  results:\n" + "".join(results) + "---\n"


def test_cards_of_other_programs_count_as_fractions_and_through_the_checkpoint_that_they_name(api, put, published):
    put("stock/plain", card=card(BASE.id, {"de": 0.6}, ["stilts"]))
    put("stock/mnli", card=card("org/xlmr-stilts-mnli", {"de": 0.625}))
    assert "stock/mnli" not in str(transfer_matrix(api=api))
    found = transfer_matrix(derived=True, api=api)
    cell = one(found.cells, intermediate="mnli", language="de", baseline=60)
    assert cell["gain"] == pytest.approx(2.5)
    assert "recipe" in found.comparisons[cell["comparison"] - 1]["not stated"]


def test_result_files_of_the_hub_are_read(api, put, published):
    def results(value):
        entry = f"- dataset:\n    id: facebook/xnli\n    task_id: de\n    revision: {REVISION}\n  value: {value}\n"
        return {".eval_results/xnli.yaml": entry}

    put("org/plain", target(), results(50))
    put("org/mnli", target(published), results(53))
    cell = one(transfer_matrix(api=api).cells, baseline=50)
    assert (cell["gain"], cell["language"], cell["runs"]) == (3, "de", 1)


def test_what_cannot_be_read_is_named_and_hides_nothing_else(api, put, published):
    wrong = [
        {".eval_results/a.yaml": "- dataset: {id: [}"},
        {".eval_results/a.yaml": "- dataset: 5\n  value: 3\n"},
        {".eval_results/a.yaml": "just text"},
        {"scores.jsonl": "no json\n"},
        {"stilts.json": "{"},
    ]
    for number, files in enumerate(wrong):
        put(f"evil/{number}", target(by_language={"de": {"xnli_accuracy": 60.0}}), files)
    put("evil/rows", target(), {"scores.jsonl": '{"score": [], "language": {}}\n{"language": "de"}\n'})
    found = transfer_matrix(api=api)
    assert one(found.cells, language="de")["gain"] == 5
    assert {each["model"] for each in found.left_out} == {f"evil/{number}" for number in range(len(wrong))}


EVIL = "=cmd|' /C calc'!A0 <script>x\x1b]0;owned\x07"


def test_texts_of_others_become_no_formula_no_markup_and_no_escape_sequence(api, put, published):
    evil = replace(intermediate(), tasks=(TaskSource(EVIL, rows=1, language="en"),))
    start = ParentModel("evil/start", put("evil/start", evil))
    scores = {"de": {"xnli_accuracy": 99.0}}
    put("evil/target", target(start, by_language=scores))
    put("evil/recipe", target(published, by_language=scores, recipe={EVIL: EVIL}))
    for words in ([], ["--json"], ["--format", "md"], ["--format", "csv"], ["--format", "latex"], ["--languages"]):
        code, printed = run("matrix", *words)
        assert code == 0 and "mnli" in printed
        assert "\x1b]" not in printed and "\n=" not in printed
        assert "--format" not in words or "script" not in printed
    left = {each["model"] for each in transfer_matrix(api=api).left_out}
    assert {"evil/target", "evil/recipe"} <= left


def test_local_results_stand_beside_published_ones(api, tmp_path):
    for start, score in {"none": 60.0, "mnli": 62.0}.items():
        folder = tmp_path / start
        folder.mkdir()
        line = row("de", score) | {"intermediate": start, "base": BASE.id, "benchmark": "xtreme"}
        (folder / "results.jsonl").write_text(json.dumps(line) + "\n")
        (folder / "settings.json").write_text(json.dumps({"recipe": "jiant", "flags": ["--seed", start[-1:]]}))
    folders = [tmp_path / "none", tmp_path / "mnli"]
    assert one(transfer_matrix(results=folders, api=api).cells, language="de")["gain"] == 2
    (tmp_path / "mnli" / "settings.json").write_text(json.dumps({"recipe": "jiant", "flags": ["--max_steps", "5"]}))
    left = transfer_matrix(results=folders, api=api).left_out
    assert "max_steps 5 (baseline: not stated)" in left[0]["why"]


def test_the_command_prints_and_exports(api, published):
    printed = run("matrix")[1]
    assert "+5.3" in printed and f"base {BASE.id}" in printed
    assert json.loads(run("matrix", "--json")[1])["tasks"][0]["intermediate"] == "mnli"
    assert run("matrix", "--format", "csv")[1].startswith(
        "base,intermediate,target,language,metric,score,baseline,gain"
    )
    assert "\\toprule" in run("matrix", "--format", "latex")[1]
    assert "| mnli | +5.3 |" in run("matrix", "--format", "md")[1]


def test_the_pictures_have_the_gains_of_the_matrix(api, published, tmp_path, monkeypatch):
    drawn = {}

    def draw(rows, **how):
        drawn[how["title"]] = (rows, how["groups"])
        return gain_matrix(rows, **how)

    monkeypatch.setattr(pictures, "gain_matrix", draw)
    printed = run("matrix", "--figures", tmp_path / "figures")[1]
    assert "Drawn: " in printed and "6 files" in printed and "+5.3" in printed
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {f"{name}.{each}" for name in ("matrix", "matrix-languages") for each in ("svg", "pdf", "png")}
    (by_target, groups), (by_language, _) = drawn.values()
    assert by_target == [{"arm": "mnli", "task": "xnli", "gain": pytest.approx(16 / 3), "seeds": 1}]
    assert groups == {"classification": ("xnli",)}
    gains = {row["language"]: row["gain"] for row in by_language}
    assert gains == {"en": 2, "de": 5, "sw": 9}


def test_without_anything_that_compares_the_command_says_so(api, put):
    put("org/plain", target(by_language={"de": {"xnli_accuracy": 60.0}}))
    assert "No published score has a baseline" in run("matrix")[1]
    with pytest.raises(AssertionError, match="No published score has a baseline to compare with"):
        run("matrix", "--format", "md")
    with pytest.raises(AssertionError, match="one of them is expected"):
        run("matrix", "--format", "md", "--json")


def test_a_misspelt_base_or_namespace_is_not_an_empty_matrix(put, api):
    put("org/xnli", target(by_language={"de": {"xnli_accuracy": 60.0}}))
    assert transfer_matrix("org", BASE.id, api=api).notes[0] == "1 models read, 1 scores found, 1 asked for."
    for name, filters in {"xlm-roberta-base": {"base": "xlm-roberta-base"}, "orgg": {"namespace": "orgg"}}.items():
        with pytest.raises(StiltsError, match=f"Nothing matches --(base|namespace) {name}. Did you mean"):
            transfer_matrix(**filters, api=api)
    assert transfer_matrix(base="me/elsewhere", api=api).notes[0].endswith("0 asked for.")


def test_a_record_is_one_request_and_none_the_next_time(published, api, monkeypatch, tmp_path):
    # Commits of the same second and content have the same name, so that a record may be there from another test.
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    asked = []
    session = type(get_session())
    send = session.send

    def counted(self, request, **options):
        asked.append((request.method, request.url.path))
        return send(self, request, **options)

    monkeypatch.setattr(session, "send", counted)
    first = transfer_matrix(api=api)
    files = [path for _, path in asked if path.endswith(("/stilts.json", "/scores.jsonl"))]
    assert len(files) == len(set(files)) > 4 and {method for method, _ in asked} == {"GET"}
    asked.clear()
    assert transfer_matrix(api=api).cells == first.cells
    assert not [path for _, path in asked if "/resolve/" in path]


def test_a_published_model_that_was_trained_from_none_is_the_public_one_to_those_after_it(api, put):
    """Pre-trained by the user, and published as all checkpoints are; it has a record, and no parent."""
    pretrained = replace(intermediate("fill_mask"), parent=None)
    own = ParentModel("org/own", put("org/own", pretrained))
    after_mnli = ParentModel("org/own-stilts-mnli", put("org/own-stilts-mnli", replace(intermediate(), parent=own)))
    for name, parent, scores in (("x/none", own, {"de": 60}), ("x/mnli", after_mnli, {"de": 63})):
        put(name, *scored(target(parent), scores))
    found = transfer_matrix(api=api)
    (cell,) = found.cells
    assert (cell["base"], cell["intermediate"], cell["gain"]) == ("org/own", "mnli", 3)
    assert not [each for each in found.left_out if each["model"].startswith("x/")]
