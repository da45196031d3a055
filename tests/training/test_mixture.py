"""Mixtures: one task per step, the same steps after a kill, the same gradient however a step is cut, scores, choice."""

import copy
import itertools
import json

import pytest
import torch
from mixtures import CHOICES, FIVE, PAIRS, SPANS, TAGS, TEXT, StopAt, logged, mixture, public, text
from toy_tasks import rows
from transformers import EarlyStoppingCallback, TrainerCallback, TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.models.heads import load_checkpoint
from hf_stilts.task import Task
from hf_stilts.training.mixture import MixtureTrainer
from hf_stilts.training.mixture_tasks import aggregate_weights, effective_batches, mixture_recipe
from hf_stilts.training.recipes import recipe
from hf_stilts.training.trainer import IntermediateTrainer


class Gradients(TrainerCallback):
    """Notes which heads have a gradient when the optimizer steps."""

    def __init__(self):
        self.heads = []

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        named = model.named_parameters()
        self.heads.append({name.split(".")[1] for name, p in named if p.grad is not None and name.startswith("heads.")})


def steps_seen(run):
    """Micro-batches put together again to optimizer steps."""
    parts = run.args.gradient_accumulation_steps
    batches = run.data_collator.seen
    return [
        (batches[first][0], [example for _, examples in batches[first : first + parts] for example in examples])
        for first in range(0, len(batches), parts)
    ]


def planned(run, steps):
    return [(step.task, step.examples.tolist()) for step in run.plan.steps(steps)]


def test_a_step_is_of_one_task_and_trains_its_head_alone(tmp_path):
    gradients = Gradients()
    run = mixture(tmp_path, args={"max_steps": 12}, callbacks=[gradients])
    before = {name: parameter.clone() for name, parameter in run.model.named_parameters()}
    run.train()
    assert steps_seen(run) == planned(run, 12)
    assert gradients.heads == [{task} for task, _ in steps_seen(run)]
    drawn = {task for task, _ in steps_seen(run)}
    for name, parameter in run.model.named_parameters():
        if name.startswith("heads."):
            assert torch.equal(parameter, before[name]) == (name.split(".")[1] not in drawn)
    assert not torch.equal(run.model.get_input_embeddings().weight, before["body.embeddings.word_embeddings.weight"])


@pytest.mark.parametrize("task", [PAIRS, TAGS, CHOICES, SPANS], ids=lambda task: task.kind)
def test_a_mixture_of_one_task_trains_as_that_task_does(task, tmp_path):
    """All 8 rows in one step, from the same weights: the same loss, gradient and scores."""
    one = mixture(tmp_path, tasks=[task], count=8, args={"max_steps": 1})
    model = copy.deepcopy(one.model.heads[task.name])
    one.train()
    args = TrainingArguments(str(tmp_path / "alone"), use_cpu=True, max_steps=1, logging_steps=1, save_strategy="no",
                             per_device_train_batch_size=8, report_to=[])  # fmt: skip
    data = rows(task)
    alone = IntermediateTrainer(
        model, args, task=task, train_dataset=data, eval_dataset=data, processing_class=one.processing_class
    )  # fmt: skip
    alone.train()
    assert logged(one, "loss", "grad_norm") == [
        pytest.approx(logged(alone, "loss", "grad_norm")[0], rel=1e-5, abs=1e-6)
    ]
    assert one.evaluate()["eval_aggregate"] == alone.evaluate()[f"eval_{task.metric}"]


def test_accumulation_changes_neither_the_examples_nor_the_gradient(tmp_path):
    """8 examples in one piece, and in four: masked words too, although their masks are drawn at random."""
    runs = []
    for accumulation in (1, 4):
        run = mixture(
            tmp_path, batch_sizes=8,
            args={"gradient_accumulation_steps": accumulation, "max_grad_norm": 1e9, "max_steps": 12},
        )  # fmt: skip
        run.train()
        runs.append(run)
    assert steps_seen(runs[0]) == steps_seen(runs[1])
    assert {task for task, _ in steps_seen(runs[0])} == {task.name for task in FIVE}
    whole, cut = (logged(run, "loss", "grad_norm") for run in runs)
    assert [pytest.approx(each, rel=1e-3, abs=1e-6) for each in whole] == cut


@pytest.mark.parametrize("workers", [0, 1])
def test_after_a_kill_the_rest_is_what_it_would_have_been(workers, tmp_path):
    """Dropout and masks are random; the resumed run ends with the very weights of the uninterrupted one."""
    model = public(tmp_path, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    args = {"save_strategy": "steps", "save_steps": 3, "max_steps": 10, "dataloader_num_workers": workers,
            "gradient_accumulation_steps": 2}  # fmt: skip
    whole = mixture(tmp_path / "whole", model=model, args=args)
    whole.train()
    killed = mixture(tmp_path / "killed", model=model, args=args, callbacks=[StopAt(7)])
    killed.train()
    resumed = mixture(tmp_path / "killed", model=model, args=args)
    resumed.train(resume_from_checkpoint=str(tmp_path / "killed/run/checkpoint-6"))
    if not workers:  # with workers, others look on
        assert steps_seen(whole) == planned(whole, 10)
        assert steps_seen(resumed) == planned(whole, 10)[6:], "what was trained already was read again"
    first, second = (dict(run.model.named_parameters()) for run in (whole, resumed))
    trained = [name for name in first if "body.pooler" not in name]
    assert trained and all(torch.equal(first[name], second[name]) for name in trained)
    assert logged(resumed, "loss", "step") == logged(whole, "loss", "step")


def test_masks_belong_to_the_draw(tmp_path):
    """Drawn again they are other masks; drawn in another batch, or after other random numbers, the same."""
    run = mixture(tmp_path, tasks=[TEXT])
    draws = list(itertools.islice(iter(run.get_train_dataloader().batch_sampler), 20))
    collate = run.data_collator.collator

    def masks(draw):
        alone = collate(run.train_dataset.__getitems__([draw]))
        return alone["labels"][0][alone["attention_mask"][0].bool()].tolist()

    together = collate(run.train_dataset.__getitems__(draws[0]))
    torch.rand(7)
    assert [masks(draw) for draw in draws[0]] == [
        row[kept.bool()].tolist() for row, kept in zip(together["labels"], together["attention_mask"], strict=True)
    ]
    again = [draw for batch in draws for draw in batch if draw.example == draws[0][0].example]
    assert len(again) > 2 and len({tuple(masks(draw)) for draw in again}) > 1


def test_every_task_is_scored_and_their_mean(tmp_path):
    run = mixture(tmp_path, aggregate={"pairs": 3, "choices": 1})
    scores = run.evaluate()
    assert scores["eval_aggregate"] == pytest.approx(
        (3 * scores["eval_pairs_accuracy"] + scores["eval_choices_accuracy"]) / 4
    )
    assert {"eval_tags_accuracy", "eval_spans_f1", "eval_text_perplexity", "eval_text_accuracy"} <= set(scores)
    entries = [entry for entry in run.state.log_history if "eval_aggregate" in entry]
    assert len(entries) == 1 and "eval_pairs_accuracy" in entries[0]
    assert run.evaluate("choices")["eval_accuracy"] == scores["eval_choices_accuracy"]


def test_rows_of_one_task_are_scored_against_themselves(tmp_path):
    run = mixture(tmp_path)
    run.turn_to("pairs")
    other = rows(PAIRS, 5)
    predicted = run.predict(other)
    hits = sum(a == b for a, b in zip(predicted.predictions.tolist(), other["label"][:], strict=True))
    assert predicted.metrics["test_accuracy"] == 100 * hits / 5


def test_evaluating_turns_to_no_other_task(tmp_path):
    run = mixture(tmp_path, (PAIRS, TAGS, CHOICES))
    run.turn_to("tags")
    for asked in (None, "choices", rows(TAGS), {"one": rows(TAGS)}):
        run.evaluate(asked)
        assert (run.task.name, run.collator.current) == ("tags", "tags")
    with pytest.raises(StiltsError, match="'spans' is not in the mixture. Name one of its tasks: pairs, tags, choices"):
        run.evaluate("spans")


def test_arguments_serve_for_a_second_mixture(tmp_path):
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, num_train_epochs=1, per_device_train_batch_size=4)
    for count, steps in ((8, 4), (16, 8)):
        data = {task.name: rows(task, count) for task in (PAIRS, TAGS)}
        given = {"train_dataset": data, "eval_dataset": data}
        run = MixtureTrainer(public(tmp_path), args, tasks=(PAIRS, TAGS), **given)
        assert run.args.max_steps == steps
        run = MixtureTrainer(public(tmp_path), args, tasks=(PAIRS, TAGS), limit=3, **given)
        assert len(run.task_data["tags"].features) == 3


def test_the_best_checkpoint_is_kept_and_training_stops_early(tmp_path):
    """The aggregate is made to rise to step 4 and to fall from there on; with a patience of 2 it ends at step 8."""
    run = mixture(
        tmp_path, callbacks=[EarlyStoppingCallback(early_stopping_patience=2)],
        args={"max_steps": 20, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2,
              "load_best_model_at_end": True, "metric_for_best_model": "aggregate", "learning_rate": 1e-3},
    )  # fmt: skip
    made = iter([10, 30, 20, 20, 20, 20])
    run._aggregate = lambda metrics, prefix: float(next(made))
    run.train()
    assert (run.state.global_step, run.state.best_global_step) == (8, 4)
    saved = tmp_path / "run/checkpoint-4"
    other = mixture(tmp_path)
    other.model.load_weights(saved)
    best, now = dict(other.model.named_parameters()), dict(run.model.named_parameters())
    assert all(torch.equal(now[name], best[name]) for name in now if "body.pooler" not in name)


def test_it_learns_all_of_its_tasks(tmp_path):
    run = mixture(
        tmp_path, tasks=[PAIRS, TAGS, CHOICES], args={"max_steps": 150, "learning_rate": 5e-3, "logging_steps": 50},
        count=12,
    )  # fmt: skip
    run.train()
    scores = run.evaluate()
    assert scores["eval_pairs_accuracy"] >= 90 and scores["eval_tags_accuracy"] >= 90


def test_batches_and_steps_are_each_tasks_own(tmp_path):
    """Epochs * ceil(16 / batch): 2 * (ceil(16 / 8) + ceil(16 / 4)) = 12 steps."""
    run = mixture(
        tmp_path, tasks=[PAIRS, SPANS], batch_sizes={"spans": 4}, args={"max_steps": -1, "num_train_epochs": 2}
    )  # fmt: skip
    run.train()
    assert run.state.global_step == 12
    assert {task: len(examples) for task, examples in steps_seen(run)} == {"pairs": 8, "spans": 4}


def test_text_is_read_from_files_and_some_of_it_is_held_out(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    english = "".join(f"the cat {word}\n" for word in "abcdefghijklmnopqrst")
    (folder / "en.txt").write_text(f"\ufeff{english}", encoding="utf-8")  # a byte order mark is no letter
    (folder / "de.txt").write_text("das Haus\u2028und die Stadt\r\n\r\nein Haus", encoding="utf-8")
    run = mixture(tmp_path, tasks=[PAIRS, TEXT], text=folder, text_examples=100)
    member = run.task_data["text"]
    assert member.dev[1]["text"][:] == ["the cat a", "the cat b"]  # a tenth of 20
    assert member.languages == {"de": 2, "en": 18} and len(member.features) == 100
    shown = run.processing_class.batch_decode(member.features["input_ids"][:], skip_special_tokens=True)
    german = sum("Haus" in line for line in shown)
    assert german == round(100 * 2**0.3 / (2**0.3 + 18**0.3))
    assert not {"the cat a", "the cat b"} & set(shown)


def test_a_compact_vocabulary_gives_the_same_checkpoint(tmp_path):
    """Heads that share the body share its compact embedding; without weight decay no bit differs."""
    saved = []
    for compact in (False, True):
        run = mixture(
            tmp_path, tasks=[PAIRS, SPANS], args={"weight_decay": 0.0}, compact_vocabulary=compact
        )  # fmt: skip
        run.train()
        run.save_model(str(tmp_path / f"{compact}"))
        saved.append(load_checkpoint(str(tmp_path / f"{compact}"), head="spans").state_dict())
    assert (
        run.model.get_input_embeddings().weight.shape[0]
        < saved[0]["roberta.embeddings.word_embeddings.weight"].shape[0]
    )
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])
    with pytest.raises(StiltsError, match="Train without compact_vocabulary"):
        mixture(tmp_path, compact_vocabulary=True)


def test_what_a_run_says_of_itself(tmp_path):
    record = mixture(tmp_path, batch_sizes={"spans": 4}, name="five").record()
    assert record.mixture == "five" and record.task_names == ("pairs", "tags", "choices", "spans", "text")
    assert record.languages == ("en", "de")
    assert record.recipe["batch_sizes"] == "pairs=8,tags=8,choices=8,spans=4,text=8"
    assert (record.recipe["sampler"], record.recipe["cap"]) == ("uniform", 2**17)
    assert record.tasks[0].rows == 16 and record.tasks[0].dataset is None  # the rows were the user's own


def test_other_languages_stand_in_the_name_but_not_those_of_the_text(tmp_path):
    german = rows(PAIRS, 8).add_column("language", ["de"] * 8)
    run = mixture(tmp_path, tasks=[PAIRS, TEXT], train_dataset={"pairs": german})
    assert run.name == "pairs.text-de" and run.record().languages == ("de", "en")
    assert mixture(tmp_path, tasks=[PAIRS, TEXT]).name == "pairs.text"


def test_the_final_model_has_its_heads_beside_it(tmp_path):
    run = mixture(tmp_path, args={"max_steps": 1})
    run.train()
    run.save_model(str(tmp_path / "final"))
    assert sorted(path.name for path in (tmp_path / "final/heads").iterdir()) == sorted(run.task_data)
    assert json.loads((tmp_path / "final/stilts.json").read_text())["mixture"] == "5-tasks-" + run.name[-6:]


def test_figures_of_a_mixture_are_those_of_its_tasks():
    careful = Task(kind="question-answering", dataset="x/y", name="q")
    recipes = {task.name: recipe("xtreme-2020", task) for task in (careful, PAIRS)}
    figures = mixture_recipe(recipes)
    assert figures.learning_rate == min(each.learning_rate for each in recipes.values()) and figures.epochs == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": [PAIRS, PAIRS]}, "'pairs' twice"),
        ({"tasks": []}, "mixture of no tasks"),
        ({"tasks": ["tatoeba"]}, "tatoeba is a bitext-retrieval task.*Leave it out"),
        ({"sampler": "pairs=1"}, "the mixture's tasks are pairs, tags"),
        ({"aggregate": {"mnli": 1}}, "no set of weights for pairs, tags"),
        ({"batch_sizes": {"mnli": 1}}, "batch_sizes names mnli"),
        ({"compute_metrics": print}, "compute_metrics= is each task's own"),
        ({"max_length": 4000}, "max_length=4000 is more than"),
        ({"languages": {"mnli": "de"}}, "languages names mnli; the mixture's tasks are pairs, tags"),
        ({"eval_dataset": {"pair": None}}, "eval_dataset names pair"),
        ({"tasks": [PAIRS, TAGS], "text": "folder"}, "--text. was given, and no task that reads it. Add fill_mask"),
        ({"batch_sizes": {"tags": 6}, "args": {"gradient_accumulation_steps": 4}}, "multiple of 4.*'tags': 4"),
    ],
)
def test_mistakes_are_refused_before_anything_is_trained(arguments, message, tmp_path):
    with pytest.raises(StiltsError, match=message):
        mixture(tmp_path, **{"tasks": [PAIRS, TAGS], **arguments})


def test_a_mixture_object_needs_its_tokenizer(tmp_path):
    run = mixture(tmp_path, tasks=[PAIRS])
    with pytest.raises(StiltsError, match="processing_class="):
        MixtureTrainer(run.model, run.args, tasks=[PAIRS], train_dataset=run.given, eval_dataset=run.given)


def test_masked_words_are_not_selected_by_unless_asked_for():
    tasks = {"pairs": PAIRS, "text": TEXT}
    assert aggregate_weights(tasks, None) == {"pairs": 1.0}
    assert aggregate_weights({"text": TEXT}, None) == {"text": 1.0}
    assert aggregate_weights(tasks, {"text": 1, "pairs": 0}) == {"text": 1}
    assert effective_batches(tasks, {"text": 4}, stock=8, parts=2) == {"pairs": 8, "text": 4}


def test_no_text_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No <language>\.txt"):
        mixture(tmp_path, tasks=[TEXT], text=tmp_path / "nowhere")
    with pytest.raises(StiltsError, match="'notes' is no language"):
        mixture(tmp_path, tasks=[TEXT], text={"notes": text()["en"]})
    with pytest.raises(StiltsError, match="no text for text.*--text"):
        mixture(tmp_path, tasks=[TEXT], text={"en": text()["en"].select([])})
