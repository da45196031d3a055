"""Rows in which something is missing: every kind says which row, which column and what to do, wherever rows come in."""

import math
from dataclasses import replace

import kind_cases
import pandas
import pytest
import tiny
from datasets import Dataset, Value
from transformers import TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.predict import predict
from hf_stilts.kinds import kind_for, load_kind, load_retrieval_kind
from hf_stilts.kinds.rows import check_texts
from hf_stilts.models.transfer import label_order
from hf_stilts.task import Task
from hf_stilts.training.mixture import MixtureTrainer
from hf_stilts.training.trainer import IntermediateTrainer

PAIRS = Task(kind="sentence-similarity", dataset="nobody/nothing", name="pairs", metric="mrr@20")
ANSWER = {"text": ["cat"], "answer_start": [4]}
GOOD = {
    "text-classification": {"id": "p0", "text": "the cat", "text_pair": "a dog", "label": 0},
    "multiple-choice": {"id": "p0", "context": "the cat", "question": "why ?", "choices": ["one", "two"], "label": 0},
    "token-classification": {"id": "p0", "tokens": ["the", "cat"], "tags": ["DET", "NOUN"]},
    "question-answering": {"id": "p0", "question": "who ?", "context": "the cat", "answers": ANSWER},
    "fill-mask": {"id": "p0", "text": "the cat"},
    "sentence-similarity": {"id": "p0", "query": "the cat", "candidate": "a dog"},
}
# What is wrong with a column of the second row, and what the error says of it.
MISSING = [
    ("text-classification", "text", None, "text None; expected text"),
    ("text-classification", "label", 3, "label 3; expected one of entailment, neutral, contradiction"),
    ("text-classification", "label", -2, "label -2; expected one of entailment"),
    ("multiple-choice", "context", None, "context None; expected text"),
    ("multiple-choice", "choices", None, "choices None; expected a list of texts"),
    ("multiple-choice", "choices", [], r"choices \[\]; expected at least one choice"),
    ("multiple-choice", "choices", ["one", None], r"choices\[1\] None; expected text"),
    ("multiple-choice", "label", 2, "label 2; expected the number of a choice, 0 to 1"),
    ("token-classification", "tokens", None, "tokens None; expected a list of texts"),
    ("token-classification", "tokens", ["the", None], r"tokens\[1\] None; expected text"),
    ("token-classification", "tags", ["DET", "XX"], r"tags\[1\] 'XX'; expected one of NOUN, VERB, DET"),
    ("question-answering", "question", None, "question None; expected text"),
    ("question-answering", "context", None, "context None; expected text"),
    ("question-answering", "answers", {"text": [None], "answer_start": [4]}, "answers .*None.*; expected a list of"),
    ("question-answering", "answers", {"text": None, "answer_start": [4]}, "answers .*None.*; expected a list of"),
    ("question-answering", "answers", {"text": ["cat"], "answer_start": []}, "answers .*; expected a list of texts"),
    ("question-answering", "answers", {"text": ["cat"], "answer_start": [None]}, "answers .*; expected a list of"),
    ("fill-mask", "text", None, "text None; expected text"),
    ("sentence-similarity", "query", None, "query None; expected text"),
    ("sentence-similarity", "candidate", None, "candidate None; expected text"),
]
SCORED = [each for each in MISSING if each[1] in ("label", "tags", "answers")]


def task_of(kind):
    return PAIRS if kind == "sentence-similarity" else kind_cases.TASKS[kind]


def rows_with(kind, column, value):
    return Dataset.from_list([GOOD[kind], {**GOOD[kind], "id": "q7", column: value}])


def refusal(text):
    return pytest.raises(StiltsError, match=rf"row 1 \(id 'q7'\) has {text}.*Correct column \w+, or drop the row")


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("kind", "column", "value", "said"), MISSING)
def test_features_of_rows_in_which_something_is_missing(kind, column, value, said, train):
    with refusal(said):
        load_kind(kind).features(
            task_of(kind), rows_with(kind, column, value), tiny.tokenizer(), max_length=64, train=train
        )


@pytest.mark.parametrize(("kind", "column", "value", "said"), SCORED)
def test_scores_of_rows_in_which_something_is_missing(kind, column, value, said):
    predictions = {"multiple-choice": [0, 0], "token-classification": [["DET", "NOUN"]] * 2}.get(kind, ["neutral"] * 2)
    with refusal(said):
        load_kind(kind).score(task_of(kind), predictions, rows_with(kind, column, value))


@pytest.mark.parametrize(
    ("kind", "column", "value", "said"),
    [each for each in MISSING if each[0] in ("question-answering", "multiple-choice")],
)
def test_text_to_text_refuses_the_same(kind, column, value, said):
    task = replace(task_of(kind), text_to_text=True)
    with refusal(said):
        kind_for(task).features(task, rows_with(kind, column, value), tiny.tokenizer("mt5"), max_length=64, train=False)


@pytest.mark.parametrize("kind", [*GOOD])
def test_the_row_without_a_fault_is_read(kind):
    rows = Dataset.from_list([GOOD[kind]] * 2)
    assert len(load_kind(kind).features(task_of(kind), rows, tiny.tokenizer(), max_length=64, train=True)) == 2


def test_columns_of_pandas_in_which_nothing_or_a_number_stands():
    task, kind = task_of("fill-mask"), load_kind("fill-mask")
    frame = pandas.DataFrame({"text": ["the cat", math.nan], "id": ["a", "b"]})
    with pytest.raises(StiltsError, match=r"row 1 \(id 'b'\) has text None; expected text"):
        kind.features(task, Dataset.from_pandas(frame), tiny.tokenizer(), max_length=64, train=True)
    with pytest.raises(StiltsError, match="row 0 has text nan; expected text"):
        kind.features(task, Dataset.from_dict({"text": [math.nan] * 2}), tiny.tokenizer(), max_length=64, train=True)
    pairs = Dataset.from_dict({"text": ["the cat"] * 2, "text_pair": [math.nan] * 2, "label": [0, 1]})
    with pytest.raises(StiltsError, match="row 0 has text_pair nan; expected text"):
        load_kind("text-classification").features(
            task_of("text-classification"), pairs, tiny.tokenizer(), max_length=64, train=True
        )


def test_a_number_for_a_text_and_a_column_that_is_not_there():
    task = task_of("fill-mask")
    with pytest.raises(StiltsError, match="row 0 has text 7; expected text"):
        check_texts(task, Dataset.from_dict({"text": [7]}), "text")
    with pytest.raises(StiltsError, match="columns sentence; a fill-mask task reads text. Rename .* 'text'"):
        check_texts(task, Dataset.from_dict({"sentence": ["a"]}), "text")


def test_the_number_is_that_of_the_row_far_behind_and_after_selection():
    texts = ["the cat"] * 25_000
    texts[20_001] = None
    rows = Dataset.from_dict({"text": texts})
    with pytest.raises(StiltsError, match="row 20001 has text None"):
        check_texts(task_of("fill-mask"), rows, "text")
    with pytest.raises(StiltsError, match="row 1 has text None"):
        check_texts(task_of("fill-mask"), rows.select([5, 20_001]), "text")
    check_texts(task_of("fill-mask"), rows.select([5, 6]), "text")
    check_texts(task_of("fill-mask"), rows.select([5, 6]).cast_column("text", Value("large_string")), "text")


def arguments(folder):
    return TrainingArguments(output_dir=str(folder), max_steps=1, report_to=[], use_cpu=True)


@pytest.mark.parametrize("side", ["train_dataset", "eval_dataset"])
def test_training_on_rows_in_which_something_is_missing(tmp_path, side):
    rows = dict.fromkeys(("train_dataset", "eval_dataset"), Dataset.from_list([GOOD["text-classification"]] * 2))
    rows[side] = rows_with("text-classification", "text", None)
    with refusal("text None; expected text"):
        IntermediateTrainer(tiny.save(tmp_path), arguments(tmp_path), task=task_of("text-classification"), **rows)


def test_mixtures_of_rows_in_which_something_is_missing(tmp_path):
    tasks = [task_of("text-classification"), task_of("multiple-choice")]
    good = {task.name: Dataset.from_list([GOOD[task.kind]] * 2) for task in tasks}
    rows = good | {"multiple_choice": rows_with("multiple-choice", "choices", [])}
    with refusal(r"choices \[\]"):
        MixtureTrainer(tiny.save(tmp_path), arguments(tmp_path), tasks=tasks, train_dataset=rows, eval_dataset=good)


def test_predictions_for_rows_in_which_something_is_missing():
    kind, task = load_kind("question-answering"), task_of("question-answering")
    model = tiny.with_head(kind.model_class(tiny.config()), **kind.head_config(task))
    with refusal("context None"):
        predict(model, task, rows_with("question-answering", "context", None), tiny.tokenizer(), max_length=64)


@pytest.mark.parametrize(
    ("kind", "good", "column", "value", "said"),
    [
        ("bitext-retrieval", {"source": "der Hund", "target": "the dog"}, "target", None, "row 1 has target None"),
        (
            "bitext-mining",
            {
                "source_ids": ["a"],
                "source": ["der Hund"],
                "target_ids": ["b"],
                "target": ["the dog"],
                "gold": [["a", "b"]],
            },
            "source",
            [None],
            r"row 0 has source\[0\] None",
        ),
    ],
)
def test_retrieval_of_sentences_that_are_missing(kind, good, column, value, said):
    task = Task(kind=kind, dataset="nobody/nothing", name=kind, metric="f1")
    rows = Dataset.from_list([*([good] if kind == "bitext-retrieval" else []), {**good, column: value}])
    with pytest.raises(StiltsError, match=said):
        load_retrieval_kind(kind).evaluate(task, rows, tiny.encoder(), tiny.tokenizer())


def test_pairs_and_single_texts_are_read_alike_in_every_part_of_a_data_set():
    # 1,000 rows are read at a time: a row without second text is the same feature in a part with and without pairs.
    rows = Dataset.from_dict({"text": ["the cat"] * 1001, "text_pair": ["a dog", *[""] * 1000], "label": [0] * 1001})
    features = load_kind("text-classification").features(
        task_of("text-classification"), rows, tiny.tokenizer(), max_length=64, train=True
    )
    assert features[1]["input_ids"] == features[1000]["input_ids"]


def test_numbers_as_names_of_classes():
    with pytest.raises(StiltsError, match='has the label or alias 1; expected text.*Write "1" in labels='):
        Task(kind="text-classification", dataset="nobody/nothing", name="stars", labels=(1, 2))
    with pytest.raises(StiltsError, match="has the label or alias 0; expected text"):
        Task(kind="text-classification", dataset="nobody/nothing", name="stars", labels=("bad",), aliases={0: "bad"})
    stars = Task(kind="text-classification", dataset="nobody/nothing", name="stars", labels=("1", "2"))
    # A public model whose names are numbers.
    for names, order in (({0: 2, 1: 1}, [1, 0]), ({0: 1, 1: 2}, None)):
        config = tiny.config(num_labels=2)
        vars(config)["id2label"] = names  # as read from a file; some versions of transformers refuse it as an argument
        assert label_order(config, stars) == order
