"""Zero-shot evaluation: every language in one tidy table, in the order of the rows, never from an untrained head."""

from dataclasses import replace

import mirrors
import pytest
import tiny
from datasets import Dataset
from toy_tasks import CHOICES, PAIRS, SPANS, TAGS, WORDS, rows
from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification, TrainingArguments

from hf_stilts.data.load import load
from hf_stilts.data.source import mirror_folder
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.predict import batches, predict
from hf_stilts.evaluation.setting import setting
from hf_stilts.evaluation.zero_shot import append_jsonl, summary, zero_shot
from hf_stilts.hub.record import Record, TaskSource
from hf_stilts.kinds import load_kind
from hf_stilts.task import Task, load_task
from hf_stilts.training.trainer import IntermediateTrainer, TargetTrainer


def mirror(folder, languages, texts):
    """A data set with one configuration a language, as a clone of its repository would look."""
    repository = folder / "org" / "data"
    repository.mkdir(parents=True)
    card = ["---", "configs:"]
    for code in languages:
        path = repository / code / "test-00000-of-00001.parquet"
        path.parent.mkdir()
        Dataset.from_list([{"text": text, "label": label} for text, label in texts]).to_parquet(path)
        card += [f"- config_name: {code}", "  data_files:", "  - split: test", f"    path: {code}/test-*"]
    (repository / "README.md").write_text("\n".join([*card, "---", ""]))
    return folder


def gold(task, row):
    """The prediction that is right."""
    if task.kind == "question-answering":
        return row["answers"]["text"][0]
    if task.kind == "token-classification":
        return [task.labels[tag] for tag in row["tags"]]
    return task.labels[row["label"]] if task.labels else row["label"]


SINGLE = Task(
    kind="text-classification", dataset="org/data", config="{language}", labels=("no", "yes"), languages=("en", "de"),
    name="single",
)  # fmt: skip
TEXTS = [("the cat", 0), ("a dog reads the old book in the city", 1), ("the house", 0), ("one", 1), ("two dogs", 0)]


@pytest.fixture
def model(tmp_path):
    labels = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    folder = tiny.save(tmp_path / "m", model_class=AutoModelForSequenceClassification, num_labels=2, **labels)
    (tmp_path / "m" / "stilts.json").write_text(Record(phase="target", languages=("en",), seed=7).to_json())
    return folder


def test_one_row_per_language_and_metric_with_where_it_came_from(tmp_path, model):
    table = zero_shot(model, SINGLE, data_dir=mirror(tmp_path / "mirror", ("en", "de"), TEXTS))
    main = table[table["main"]]
    assert main["language"].tolist() == ["en", "de"]
    assert main["setting"].tolist() == ["in-language", "zero-shot"]
    assert main["score"].nunique() == 1  # the same rows under both names
    assert (table["rows"] == len(TEXTS)).all()
    assert table["data_revision"].str.fullmatch("mirror:[0-9a-f]{12}").all()
    assert {"task", "metric", "split", "model", "model_revision", "seed", "versions"} <= set(table.columns)
    assert summary(table).columns.tolist() == ["mean", "en", "de"]


def test_languages_that_are_not_there_are_named_or_left_out(tmp_path, model, monkeypatch):
    three = replace(SINGLE, languages=("en", "de", "sw", "yo"))
    data = mirror(tmp_path / "mirror", ("en", "de"), TEXTS)
    found = zero_shot(model, three, data_dir=data, available=True)
    assert found["language"].unique().tolist() == ["en", "de"]
    assert zero_shot(model, three, ["sw", "de"], data_dir=data, available=True)["language"].unique().tolist() == ["de"]
    monkeypatch.setattr("hf_stilts.evaluation.zero_shot.resolve", lambda _: pytest.fail("the model was looked up"))
    with pytest.raises(StiltsError, match="no test rows here in 2 of 4 languages: sw, yo. Pass --available") as told:
        zero_shot(model, three, data_dir=data)
    assert "--languages en,de" in str(told.value)
    with pytest.raises(FileNotFoundError, match="does not hold configuration 'sw'"):
        zero_shot(model, three, ["sw"], data_dir=data, available=True)
    with pytest.raises(StiltsError, match="has no split 'validation' in language 'en'"):
        zero_shot(model, three, data_dir=data, split="validation")


def test_what_is_there_is_named_in_short(tmp_path, model):
    """A data set may have thousands of configurations."""
    many = tuple("en de fr es it fi et".split())
    data = mirror(tmp_path / "mirror", many, TEXTS)
    with pytest.raises(FileNotFoundError, match="the card names en, de, fr, es, it and 2 more"):
        zero_shot(model, replace(SINGLE, languages=(*many, "sw")), ["sw"], data_dir=data)


def test_a_row_without_text_is_named_with_its_language(tmp_path, model):
    data = mirror(tmp_path / "mirror", ("en", "de"), TEXTS)
    stored = data / "org" / "data" / "de" / "test-00000-of-00001.parquet"
    Dataset.from_list([{"text": "the cat", "label": 0}, {"text": None, "label": 1}]).to_parquet(stored)
    with pytest.raises(StiltsError, match=r"In de: Task single: row 1 \(id '1'\) has text None; expected text"):
        zero_shot(model, SINGLE, data_dir=data)


def test_the_setting_is_what_the_training_was_and_unknown_where_nothing_says_so(tmp_path, model):
    data = mirror(tmp_path / "mirror", ("en", "de"), TEXTS)

    def settings(**options):
        return zero_shot(model, SINGLE, data_dir=data, **options).query("main")["setting"].tolist()

    assert settings(trained_in=["de", "sw"]) == ["zero-shot", "in-language"]
    (tmp_path / "m" / "stilts.json").unlink()
    assert settings() == ["unknown", "unknown"]


NLI, TATOEBA = load_task("xnli"), load_task("tatoeba")


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ([("mnli", "en")], {"en": "in-language", "de": "zero-shot"}),
        ([("mnli", "en"), ("mnli", "de-t-en")], {"en": "in-language", "de": "translate-train", "sw": "zero-shot"}),
        ([("xnli", "en"), ("xnli", "sw")], {"en": "in-language", "sw": "translate-train"}),  # XNLI's are translations
        ([("udpos", "sw")], {"sw": "in-language", "en": "zero-shot"}),
        ([("mnli", "en-x-cs50-de-sw")], {"en": "in-language", "de": "code-switched", "fr": "zero-shot"}),
        ([("gone", "de")], {"de": "in-language"}),  # a task that is not installed here
    ],
)
def test_the_setting_of_each_language_follows_from_the_training_rows(sources, found):
    record = Record(phase="target", tasks=tuple(TaskSource(name, language=tag) for name, tag in sources))
    assert {language: setting(NLI, language, record) for language in found} == found


def test_the_setting_where_nothing_was_trained_or_nothing_is_known():
    assert setting(TATOEBA, "de", Record(phase="intermediate", languages=("de",))) == "no target training"
    assert setting(NLI, "de", None) == setting(NLI, "de", Record(phase="target")) == "unknown"
    assert setting(load_task("lareqa"), "de", Record(phase="target", languages=("en",))) == "zero-shot"


def test_a_head_that_was_drawn_and_never_trained_is_refused(tmp_path):
    data = mirror(tmp_path / "mirror", ("en", "de"), TEXTS)
    rows = load(SINGLE, "test", "en", data_dir=data)
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, max_steps=1, save_strategy="no")
    run = TargetTrainer(tiny.save(tmp_path / "p"), args, task=SINGLE, train_dataset=rows, eval_dataset=rows)
    for fresh in (run, run.model):
        with pytest.raises(StiltsError, match=r"The head of this model \(.*classifier.*\) is as it was drawn"):
            zero_shot(fresh, SINGLE, data_dir=data, tokenizer=run.processing_class)
    run.train()
    assert len(zero_shot(run.model, SINGLE, data_dir=data, tokenizer=run.processing_class))


def test_a_trainer_is_scored_as_it_is_and_as_the_folder_that_it_saves(tmp_path):
    task = replace(SINGLE, name="single")
    data = mirror(tmp_path / "mirror", ("en", "de"), TEXTS)
    rows = load(task, "test", "en", data_dir=data)
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, max_steps=1, save_strategy="no", seed=3)
    run = TargetTrainer(tiny.save(tmp_path / "p"), args, task=task, train_dataset=rows, eval_dataset=rows)
    run.train()
    run.save_model()
    kept = ["language", "score", "setting", "seed"]
    here, there = (zero_shot(each, task, data_dir=data)[kept] for each in (run, str(tmp_path / "run")))
    assert here.equals(there)
    assert here["setting"].tolist()[0] == "in-language" and set(here["seed"]) == {3}


@pytest.mark.parametrize(
    "task", [PAIRS, TAGS, replace(TAGS, metric="f1"), CHOICES, SPANS], ids=lambda task: f"{task.kind} {task.metric}"
)
def test_shares_of_the_examples_add_up_to_the_main_score(task, tmp_path):
    data = rows(task, 12)
    kind = load_kind(task.kind)
    model = tiny.with_head(kind.model_class(tiny.config()), **kind.head_config(task))
    predictions = predict(model, task, data, tiny.tokenizer(), max_length=64)
    predictions[:6] = [gold(task, row) for row in data.select(range(6))]
    gained, possible = kind.shares(task, predictions, data).sum(axis=0)
    metric = "em_and_f1" if task.kind == "question-answering" else task.metric
    assert 100 * gained / possible == pytest.approx(kind.score(task, predictions, data)[metric])
    assert 0 < gained


def test_similarity_of_answers_stands_beside_the_official_scores_on_request(tmp_path):
    pytest.importorskip("rapidfuzz")
    pytest.importorskip("sacrebleu")
    data = mirrors.build(tmp_path / "mirror", {"xquad": {"test": ["en", "de"]}}, count=4)
    folder = tiny.save(tmp_path / "qa", model_class=AutoModelForQuestionAnswering)
    (tmp_path / "qa" / "stilts.json").write_text(Record(phase="target", languages=("en",), seed=7).to_json())
    official = zero_shot(folder, "xquad", ["de"], data_dir=data)
    found = zero_shot(folder, "xquad", ["de"], data_dir=data, answer_similarity=True)
    there = found["metric"].isin(official["metric"])
    assert found[there].reset_index(drop=True).equals(official)
    assert set(found[~there]["metric"]) == {"character_f1", "edit_similarity", "chrf"}
    assert not found[~there]["main"].any() and found[~there]["score"].between(0, 100).all()


def test_answers_are_compared_in_the_normal_form_of_their_task():
    pytest.importorskip("rapidfuzz")
    pytest.importorskip("sacrebleu")
    data = Dataset.from_list([{"answers": {"text": ["der Hund"], "answer_start": [0]}}])
    kind = load_kind(SPANS.kind)
    assert kind.answer_similarity(["Hund"], data)["edit_similarity"] == pytest.approx(50)  # 4 of 8 letters
    german = replace(kind, normalisation="mlqa", language="de")
    assert german.answer_similarity(["Hund"], data) == {"character_f1": 100, "edit_similarity": 100, "chrf": 100}
    assert load_kind(PAIRS.kind).answer_similarity(["no"], data) == {}


def test_shares_of_masked_tokens_and_of_ranked_candidates():
    """Of the first row 1 of 2 masked tokens is found, of the second 0 of 3; the second query's candidate is second."""
    task = Task(kind="fill-mask", dataset="x/y")
    assert load_kind("fill-mask").shares(task, [(1.0, 1.0, 2.0), (4.0, 0.0, 3.0)], None).tolist() == [[1, 2], [0, 3]]
    pairs = Dataset.from_dict({"query": ["a", "b"], "candidate": ["x", "y"]})
    task = Task(kind="sentence-similarity", dataset="x/y", metric="mrr@20")
    assert load_kind(task.kind).shares(task, [[0, 1], [0, 1]], pairs).tolist() == [[1, 1], [0.5, 1]]


def test_there_are_no_shares_without_gold_or_of_another_metric():
    data = rows(PAIRS, 2).remove_columns("label").add_column("label", [-1, -1])
    assert load_kind(PAIRS.kind).shares(PAIRS, ["no", "no"], data) is None
    assert load_kind(PAIRS.kind).shares(replace(PAIRS, metric="f1"), ["no", "yes"], rows(PAIRS, 2)) is None
    unlabelled = rows(CHOICES, 2).remove_columns("label")
    assert load_kind(CHOICES.kind).shares(CHOICES, [0, 1], unlabelled) is None


def test_a_language_that_the_task_lacks_is_named(tmp_path, model):
    with pytest.raises(StiltsError, match="single has no fr; it has en, de"):
        zero_shot(model, SINGLE, ["fr"])


def test_a_head_that_was_never_trained_is_not_scored(tmp_path):
    with pytest.raises(StiltsError, match="no trained head"):
        zero_shot(tiny.save(tmp_path / "bare"), SINGLE, data_dir=mirror(tmp_path / "mirror", ("en", "de"), TEXTS))


def test_labels_in_another_order_give_the_same_scores(tmp_path, model):
    """The same weights with the two labels' names swapped: right becomes wrong, so the scores add up to 100."""
    swapped = tiny.save(
        tmp_path / "s", model_class=AutoModelForSequenceClassification, num_labels=2, id2label={0: "yes", 1: "no"}
    )
    data = mirror(tmp_path / "mirror", ("en", "de"), TEXTS)
    scores = [zero_shot(each, SINGLE, ["en"], data_dir=data).query("main")["score"].item() for each in (model, swapped)]
    assert scores[0] + scores[1] == pytest.approx(100)


@pytest.mark.parametrize("task", [PAIRS, TAGS, CHOICES, SPANS], ids=lambda task: task.kind)
def test_predictions_equal_the_stock_loop_and_keep_the_order(task, tmp_path):
    """Our batches are sorted by length; the stock Trainer's are not: the same predictions, row by row."""
    data = rows(task, 12)
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, per_device_eval_batch_size=5)
    run = IntermediateTrainer(tiny.save(tmp_path / "public"), args, task=task, train_dataset=data, eval_dataset=data)
    outputs = run.predict(data).predictions
    stock = run.kind.decode(task, data, run.scoring[0], outputs)
    assert predict(run.model, task, data, run.processing_class, max_length=run.max_length) == stock


def test_batches_hold_every_position_once_within_the_budget():
    lengths = [5, 1, 9, 9, 3, 200, 2]
    found = list(batches(lengths, 20))
    assert sorted(position for batch in found for position in batch) == list(range(7))
    assert all(len(batch) == 1 or len(batch) * max(lengths[p] for p in batch) <= 20 for batch in found)


def test_results_are_added_to_a_file(tmp_path, model):
    table = zero_shot(model, SINGLE, ["de"], data_dir=mirror(tmp_path / "mirror", ("en", "de"), TEXTS))
    for _ in range(2):
        append_jsonl(table, tmp_path / "out" / "results.jsonl")
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 2 * len(table)


def test_options_that_a_task_does_not_have_are_refused():
    model = tiny.with_head(AutoModelForSequenceClassification)
    with pytest.raises(StiltsError, match="laier= is no option of udpos, a token-classification task"):
        zero_shot(model, "udpos", ["de"], tokenizer=tiny.tokenizer(), laier=3)
    with pytest.raises(StiltsError, match="evry_layer= is no option of tatoeba.*Did you mean every_layer"):
        zero_shot(model, "tatoeba", ["de"], tokenizer=tiny.tokenizer(), evry_layer=True)
    with pytest.raises(StiltsError, match="treshold= is no option of bucc2018.*Did you mean threshold"):
        zero_shot(model, "bucc2018", ["de"], tokenizer=tiny.tokenizer(), treshold=1.0)


@pytest.mark.parametrize("task", ["bucc2018", "mewslix", "lareqa", "xnli"])
def test_every_layer_is_for_kinds_that_score_each(task):
    model = tiny.with_head(AutoModelForSequenceClassification)
    with pytest.raises(StiltsError, match=f"every_layer= scores.*{task}.*Leave it out; kinds .*bitext-retrieval"):
        zero_shot(model, task, ["de"], tokenizer=tiny.tokenizer(), every_layer=True)


def test_the_hidden_state_that_is_best_in_the_other_languages(tmp_path):
    codes = ["de", "fi", "sw", "te"]
    mirrors.build(tmp_path, {"tatoeba": {"test": codes}})
    for number, code in enumerate(codes, start=2):  # other sentences in each
        places = [(n % 12, n * number % 11, n // 2, (n * 5 + number) % 12) for n in range(24)]
        words = [[WORDS[place] for place in four] for four in places]
        pairs = [{"sentence1": " ".join(four[:3]), "sentence2": " ".join(four[:0:-1])} for four in words]
        file = mirror_folder(TATOEBA, tmp_path) / TATOEBA.config_for(code) / "test-00000-of-00001.parquet"
        Dataset.from_list(pairs).to_parquet(file)
    model, given = tiny.encoder(), {"tokenizer": tiny.tokenizer(), "data_dir": tmp_path}
    for weights in model.encoder.parameters():
        weights.data *= 20  # a layer that changes what comes in
    states = zero_shot(model, "tatoeba", codes, every_layer=True, **given)
    by_layer = states[states["metric"] == "by_layer"].pivot_table(index="layer", columns="language", values="score")
    assert by_layer.nunique().max() > 1, "states that differ"
    table = zero_shot(model, "tatoeba", codes, best_layer=True, noise="keyboard=0", **given)
    main = table[table["main"]].set_index("language")
    for code in codes:
        best = by_layer.drop(columns=code).mean(axis=1).idxmax()
        assert (main["layer"][code], main["hidden_state"][code]) == ("best in other languages", best)
        assert main["score"][code] == by_layer[code][best]
    with pytest.raises(StiltsError, match="best_layer=.*de alone.*--languages"):
        zero_shot(model, "tatoeba", ["de"], best_layer=True, **given)
    with pytest.raises(StiltsError, match="--best-layer.*--layer 2.*Leave out one"):
        zero_shot(model, "tatoeba", codes, best_layer=True, layer=2, **given)
    with pytest.raises(StiltsError, match="best_layer=.*bucc2018.*Leave it out"):
        zero_shot(model, "bucc2018", ["de"], best_layer=True, **given)


def test_noise_is_applied_and_said(tmp_path, model, caplog):
    data = mirror(tmp_path / "mirror", ("en", "de"), TEXTS)
    clean = zero_shot(model, SINGLE, data_dir=data)
    same = zero_shot(model, SINGLE, data_dir=data, noise="keyboard=0")
    assert same.drop(columns="versions").equals(clean.drop(columns="versions")) and "noise" not in clean
    table = zero_shot(model, SINGLE, data_dir=data, noise="keyboard=0.50", noise_seed=3)
    assert set(table["noise"]) == {"keyboard=0.5"} and set(table["noise_seed"]) == {3}
    assert table["data_revision"].tolist() == clean["data_revision"].tolist()
    caplog.clear()
    zero_shot(model, SINGLE, ["de"], data_dir=data, noise="diacritics=1")
    assert "single de: noise diacritics=1 changes nothing" in caplog.text


def test_the_noisy_rows_are_what_is_scored(tmp_path, model, monkeypatch):
    seen = []

    def spied(model, task, rows, *args, **options):
        seen.append(rows["text"][:])
        return predict(model, task, rows, *args, **options)

    monkeypatch.setattr("hf_stilts.evaluation.zero_shot.predict", spied)
    data = mirror(tmp_path / "mirror", ("en", "de"), TEXTS)
    for seed in (0, 0, 1):
        zero_shot(model, SINGLE, ["de"], data_dir=data, noise="character=1", noise_seed=seed)
    assert seen[0] == seen[1] != seen[2] and seen[0] != [text for text, _ in TEXTS]
    assert [len(text.split()) for text in seen[0]] == [len(text.split()) for text, _ in TEXTS]


def test_noise_that_cannot_be_is_said_before_the_model_is_looked_up(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_stilts.evaluation.zero_shot.resolve", lambda _: pytest.fail("the model was looked up"))
    data = mirror(tmp_path / "mirror", ("en", "de"), TEXTS)
    for noise in ("keybord=0.1", "keyboard=0.1:question", "natural=0.1"):
        with pytest.raises(StiltsError, match="--noise"):
            zero_shot("nobody/nothing", SINGLE, data_dir=data, noise=noise)
    with pytest.raises(FileNotFoundError, match=r"en\.tsv"):
        zero_shot("nobody/nothing", SINGLE, data_dir=data, noise="natural=0.1", noise_dictionaries=tmp_path)
