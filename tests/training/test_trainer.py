"""The phases' trainers: right loss scale, order of predictions, what they take and what they refuse."""

import json

import pytest
import tiny
import torch
from datasets import Dataset
from toy_tasks import CHOICES, PAIRS, SPANS, TAGS, WORDS, rows
from transformers import TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.predict import predict
from hf_stilts.models.body import load_body
from hf_stilts.retrieval import encode
from hf_stilts.training.trainer import IntermediateTrainer, TargetTrainer


def trainer(tmp_path, task=PAIRS, phase=IntermediateTrainer, count=8, **settings):
    arguments = {"per_device_train_batch_size": 8, "max_steps": 1, "save_strategy": "no", "logging_steps": 1}
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, **{**arguments, **settings})
    data = rows(task, count)
    return phase(tiny.save(tmp_path / "public"), args, task=task, train_dataset=data, eval_dataset=data)


@pytest.mark.parametrize("task", [PAIRS, TAGS, CHOICES, SPANS], ids=lambda task: task.kind)
def test_accumulation_does_not_scale_the_loss(task, tmp_path):
    """The same 8 rows in one batch and in four micro-batches: the same gradient norm and logged loss."""
    seen = []
    for size, accumulation in ((8, 1), (2, 4)):
        run = trainer(
            tmp_path, task, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation,
            max_grad_norm=1e9,
        )  # fmt: skip
        run.train()
        seen.append((run.state.log_history[0]["grad_norm"], run.state.log_history[0]["loss"]))
    assert seen[0] == pytest.approx(seen[1], rel=1e-3)


def test_stock_trainer_still_needs_the_remedy(tmp_path):
    """When this fails, transformers has mended the loss scale, and `model_accepts_loss_kwargs = False` can go."""
    run = trainer(tmp_path)
    run.model_accepts_loss_kwargs = True
    run.micro.most = 0  # micro-batches scale the loss themselves
    run.args.per_device_train_batch_size, run.args.gradient_accumulation_steps = 2, 4
    run._train_batch_size = 2
    run.train()
    one = trainer(tmp_path)
    one.train()
    assert run.state.log_history[0]["loss"] > 2 * one.state.log_history[0]["loss"]


@pytest.mark.parametrize("task", [PAIRS, TAGS, CHOICES, SPANS], ids=lambda task: task.kind)
def test_evaluation_scores_in_the_order_of_the_rows(task, tmp_path):
    """Sorting by length for training must not shuffle the predictions that are scored."""
    data = rows(task, 12)
    scores = []
    for strategy in ("random", "group_by_length"):
        run = trainer(tmp_path, task, train_sampling_strategy=strategy, per_device_eval_batch_size=4)
        run = type(run)(run.model, run.args, task=task, train_dataset=data, eval_dataset=data,
                        processing_class=run.processing_class)  # fmt: skip
        scores.append(run.evaluate()[f"eval_{task.metric}"])
    assert scores[0] == scores[1]


def test_group_by_length_keeps_predictions_in_place(tmp_path):
    """Rows of very different lengths: stock `predict` under group_by_length gives the labels back in another order."""
    data = Dataset.from_list(
        [{"text": " ".join(WORDS[: 1 + index % 9]), "label": index % 2} for index in range(30)]
    )  # fmt: skip
    run = trainer(tmp_path, train_sampling_strategy="group_by_length", per_device_eval_batch_size=4)
    features = run.kind.features(PAIRS, data, run.processing_class, max_length=32, train=False)
    assert run.predict(features).label_ids.tolist() == data["label"][:]


def test_other_rows_are_evaluated_and_scored_against_themselves(tmp_path):
    """A third data set, as rows: its own labels are what it is scored against; features from elsewhere get no score."""
    run = trainer(tmp_path)
    other = rows(PAIRS, 5)
    predicted = run.predict(other)
    found = predicted.predictions.tolist()
    assert (
        predicted.metrics["test_accuracy"]
        == 100 * sum(a == b for a, b in zip(found, other["label"][:], strict=True)) / 5
    )
    features = run.kind.features(PAIRS, other, run.processing_class, max_length=32, train=False)
    assert "eval_accuracy" not in run.evaluate(features)
    assert "eval_accuracy" in run.evaluate()


def test_several_evaluation_sets_are_scored_each_by_its_rows(tmp_path):
    data = {"en": rows(PAIRS, 4), "de": rows(PAIRS, 6)}
    run = trainer(tmp_path)
    run = IntermediateTrainer(
        run.model, run.args, task=PAIRS, train_dataset=rows(PAIRS), eval_dataset=data,
        processing_class=run.processing_class,
    )  # fmt: skip
    assert {"eval_en_accuracy", "eval_de_accuracy"} <= set(run.evaluate())


def test_a_task_is_learnt(tmp_path):
    run = trainer(tmp_path, max_steps=60, learning_rate=5e-3, count=12)
    run.train()
    assert run.evaluate()["eval_accuracy"] >= 90


def test_the_target_phase_trains_on_the_tasks_named_source(tmp_path):
    from hf_stilts.task import load_task

    assert TargetTrainer.training_task(load_task("xquad")).name == "squad_v1"


def test_retrieval_is_not_trained():
    with pytest.raises(StiltsError, match="no training data and no head.*hf-stilts evaluate tatoeba"):
        IntermediateTrainer("nowhere", task="tatoeba")


def test_own_columns_are_checked(tmp_path):
    with pytest.raises(
        StiltsError, match=r"The train data has columns sentence, label.*Rename the column that holds text\."
    ):
        IntermediateTrainer(
            tiny.save(tmp_path / "public"),
            TrainingArguments(str(tmp_path / "run"), use_cpu=True),
            task=PAIRS,
            train_dataset=Dataset.from_list([{"sentence": "a", "label": 0}]),
            eval_dataset=rows(PAIRS),
        )


def test_a_model_object_needs_its_tokenizer(tmp_path):
    with pytest.raises(StiltsError, match="processing_class="):
        IntermediateTrainer(tiny.encoder(), TrainingArguments(str(tmp_path), use_cpu=True), task=PAIRS,
                            train_dataset=rows(PAIRS), eval_dataset=rows(PAIRS))  # fmt: skip


def test_the_seed_decides_the_fresh_head(tmp_path):
    heads = [trainer(tmp_path, seed=seed).model.classifier.out_proj.weight.clone() for seed in (3, 3, 4)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_several_sets_of_rows_are_evaluated_at_once(tmp_path):
    run = trainer(tmp_path)
    scores = run.evaluate({"en": rows(PAIRS), "de": rows(PAIRS, 4)})
    assert {"eval_en_accuracy", "eval_de_accuracy", "eval_de_loss"} <= {*scores}
    assert scores["eval_de_accuracy"] == run.evaluate(rows(PAIRS, 4))["eval_accuracy"]


def test_a_limit_holds_for_rows_that_are_given(tmp_path):
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True)
    given = {"train_dataset": rows(PAIRS), "eval_dataset": rows(PAIRS)}
    run = IntermediateTrainer(tiny.save(tmp_path / "public"), args, task=PAIRS, limit=3, **given)
    assert len(run.train_dataset) == len(run.train_rows) == 3


def test_windows_beyond_the_positions_are_refused(tmp_path):
    given = {"train_dataset": rows(PAIRS), "eval_dataset": rows(PAIRS)}
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True)
    public = tiny.save(tmp_path / "public")
    longest = tiny.config().max_position_embeddings - 2
    assert IntermediateTrainer(public, args, task=PAIRS, max_length=longest, **given).max_length == longest
    with pytest.raises(StiltsError, match=f"max_length={longest + 1} is more than the {longest} tokens"):
        IntermediateTrainer(public, args, task=PAIRS, max_length=longest + 1, **given)


def test_a_token_without_an_embedding_is_named_before_the_training(tmp_path):
    """A tokenizer that somebody enlarged, and not the model; one whose further tokens no text has does no harm."""
    enlarged = tiny.tokenizer()
    enlarged.add_tokens(["zzz", "house"])  # of these, the rows hold the second
    where = tmp_path / "public"
    tiny.save(where)
    enlarged.save_pretrained(where)
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, max_steps=1)
    data = rows(PAIRS)
    with pytest.raises(StiltsError, match=rf"token {len(enlarged) - 1} \('house'\).*embeddings of {len(enlarged) - 2}"):
        IntermediateTrainer(str(where), args, task=PAIRS, train_dataset=data, eval_dataset=data)
    harmless = data.filter(lambda row: "house" not in row["text"])
    run = IntermediateTrainer(str(where), args, task=PAIRS, train_dataset=harmless, eval_dataset=harmless)
    with pytest.raises(StiltsError, match="'house'"):
        run.evaluate(data)
    with pytest.raises(StiltsError, match="'house'"):
        predict(run.model, PAIRS, data, enlarged, max_length=16)
    with pytest.raises(StiltsError, match=r"'house'.*resize_token_embeddings"):
        encode(run.model, enlarged, ["the cat", "the house"])
    assert len(predict(run.model, PAIRS, harmless, enlarged, max_length=16)) == len(harmless)
    assert len(encode(run.model, enlarged, ["the cat", ""])) == 2


@pytest.mark.parametrize(
    "length", [{"max_steps": 1}, {"max_steps": -1, "num_train_epochs": 1}], ids=["steps", "epochs"]
)
def test_rows_that_make_no_whole_batch_are_no_training(tmp_path, length):
    """The stock Trainer ends after no step, or asks for max_steps; the model would be saved as if it were trained."""
    with pytest.raises(StiltsError, match=r"3 training examples make no whole batch of 4.*--dataloader_drop_last"):
        trainer(tmp_path, count=3, per_device_train_batch_size=4, dataloader_drop_last=True, **length).train()
    run = trainer(tmp_path, count=5, per_device_train_batch_size=4, dataloader_drop_last=True, **length)
    run.train()
    assert run.state.global_step == 1


@pytest.mark.parametrize("task", [PAIRS, TAGS, CHOICES, SPANS], ids=lambda task: task.kind)
def test_a_configuration_that_asks_for_tuples_changes_nothing(task, tmp_path):
    found = []
    for asks in (False, True):
        public = tmp_path / str(asks)
        tiny.save(public)
        if asks:
            file = public / "config.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | {"return_dict": False}))
        args = TrainingArguments(str(tmp_path / f"run {asks}"), use_cpu=True, max_steps=1, logging_steps=1)
        run = IntermediateTrainer(
            base=str(public), args=args, task=task, train_dataset=rows(task), eval_dataset=rows(task)
        )
        run.train()
        run.save_model()
        scores = run.evaluate()
        vectors = encode(load_body(args.output_dir)[0], run.processing_class, ["the house"], layers="all")
        found.append((run.state.log_history[0]["loss"], scores["eval_loss"], vectors.tolist()))
    assert found[0] == found[1]
