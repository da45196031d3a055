"""Text-to-text answers: mT5 trains, chooses among possible answers only, and is scored as every other model is."""

from dataclasses import replace

import kind_cases
import mirrors
import pytest
import tiny
import torch
from datasets import Dataset
from kind_cases import labelled_rows
from transformers import AutoModelForSeq2SeqLM, TrainingArguments

from hf_stilts.declarations import declared, list_kinds
from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.predict import predict
from hf_stilts.evaluation.zero_shot import zero_shot
from hf_stilts.hub.naming import repo_id
from hf_stilts.kinds import kind_for
from hf_stilts.kinds.text_to_text import likelihoods
from hf_stilts.models.transfer import load_trained, with_fresh_head
from hf_stilts.studies.benchmark import run_benchmark
from hf_stilts.task import load_task
from hf_stilts.training.recipes import recipe
from hf_stilts.training.trainer import IntermediateTrainer, TargetTrainer

ANSWERED = [kind for kind in list_kinds() if declared(kind).text_answers]
ARCHITECTURES = ("mt5", "umt5")
LENGTHS = {"question-answering": 80}  # cuts the answer to the second question away


def with_text(name):
    task = replace(kind_cases.TASKS[name], text_to_text=True)
    return kind_for(task), task, kind_cases.rows_of(name)


def model_of(arch="mt5", seed=0):
    torch.manual_seed(seed)
    model = AutoModelForSeq2SeqLM.from_config(tiny.config(arch)).eval()
    for weight in model.parameters():  # fresh T5 weights give nearly equal scores to everything
        weight.data += 0.3 * torch.randn_like(weight)
    return model


@pytest.mark.parametrize("name", ANSWERED)
def test_inputs_and_answers_read_as_they_should(name):
    kind, task, rows = with_text(name)
    tokenizer = tiny.tokenizer("mt5")
    features = kind.features(task, rows, tokenizer, max_length=LENGTHS.get(name, 120), train=True)
    inputs = [tokenizer.decode(ids, skip_special_tokens=True) for ids in features["input_ids"]]
    labels = [tokenizer.decode(ids, skip_special_tokens=True) for ids in features["labels"]]
    assert all(ids[-1] == tokenizer.eos_token_id for ids in features["labels"])
    if name == "text-classification":
        assert inputs[0] == "text_classification: text: the cat reads text_pair: the cat does not"
        assert labels == ["contradiction", "entailment", "neutral"]  # the row without a label is not trained on
    elif name == "multiple-choice":
        assert inputs[0].startswith("multiple_choice: question: where to ? choice1: house choice2: city by the river")
        assert inputs[0].endswith("context: the doctor walks") and labels == ["2", "1"]
    else:
        assert inputs[0] == "question_answering: question: who sings ? context: the cat sings"
        assert labels == ["the cat", "it"]  # the second row's answer is cut away
        whole = kind.features(task, rows, tokenizer, max_length=400, train=True)
        assert [tokenizer.decode(ids, skip_special_tokens=True) for ids in whole["labels"]] == [
            "the cat",
            "Berlin",
            "it",
        ]


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", ANSWERED)
def test_only_possible_answers_come_out_in_whatever_batch(name, arch, monkeypatch):
    kind, task, rows = with_text(name)
    found = []
    for tokens in (10**6, 1):  # all rows in one batch, then each for itself
        monkeypatch.setattr("hf_stilts.evaluation.predict.CPU_TOKENS", tokens)
        found.append(predict(model_of(arch), task, rows, tiny.tokenizer(arch), max_length=400))
    assert found[0] == found[1]
    if name == "text-classification":
        assert set(found[0]) <= set(task.labels)
    elif name == "multiple-choice":
        assert set(found[0]) <= {0, 1}
    else:
        assert all(answer and answer in context for answer, context in zip(found[0], rows["context"], strict=True))
    assert task.metric in kind.score(task, found[0][:2], rows.select(range(2)))


def test_likelihoods_are_those_of_the_stock_loss():
    model, tokenizer = model_of(), tiny.tokenizer("mt5")
    read = tokenizer(["the cat", "a dog walks by the river"], padding=True, return_tensors="pt")
    answers = torch.full((2, 3, 3), -100)
    answers[0] = torch.tensor([[5, 1, -100], [6, 7, 1], [9, 1, -100]])
    answers[1, :2] = torch.tensor([[5, 1, -100], [8, 7, 1]])
    with torch.inference_mode():
        found = likelihoods(model, dict(read), answers)
        for row, number in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]:
            labels = answers[row, number][answers[row, number] >= 0]
            one = {name: values[row : row + 1][:, read["attention_mask"][row] > 0] for name, values in read.items()}
            expected = -model(**one, labels=labels[None]).loss * len(labels)
            torch.testing.assert_close(found[row, number], expected, rtol=1e-4, atol=0)
    assert found[1, 2] == -torch.inf


def test_an_answer_is_decoded_greedily_among_the_pieces_of_the_context():
    kind, task, rows = with_text("question-answering")
    model, tokenizer = model_of(), tiny.tokenizer("mt5")
    features = kind.features(task, rows, tokenizer, max_length=400, train=False)
    batch = kind_cases.batch_of(kind, features, tokenizer)
    with torch.inference_mode():
        found = kind.run(model, {name: value for name, value in batch.items() if name != "labels"})
        for feature, answer in zip(features, found, strict=True):
            decoded, context = [], feature["context"]
            while len(decoded) <= kind.max_answer:
                places = [at for at in range(len(context)) if context[at : at + len(decoded)] == decoded]
                allowed = {context[at + len(decoded)] for at in places if at + len(decoded) < len(context)}
                allowed |= {tokenizer.eos_token_id} if decoded else set()
                ids = torch.tensor([feature["input_ids"]])
                logits = model(input_ids=ids, decoder_input_ids=torch.tensor([[0, *decoded]])).logits[0, -1]
                best = max(allowed, key=lambda token: float(logits[token]))
                if best == tokenizer.eos_token_id:
                    break
                decoded.append(best)
            assert answer[answer >= 0].tolist() == decoded


def test_a_question_without_an_answer_can_be_answered_by_nothing():
    kind, task, rows = with_text("question-answering")
    answers = [{"text": [], "answer_start": []}, *rows["answers"][1:]]
    silent = Dataset.from_list([{**row, "answers": given} for row, given in zip(rows, answers, strict=True)])
    tokenizer = tiny.tokenizer("mt5")
    trained = kind.features(task, silent, tokenizer, max_length=400, train=True)
    assert trained["labels"][0] == [tokenizer.eos_token_id]
    scored = kind.features(task, silent, tokenizer, max_length=400, train=False)
    assert [ids[0] == tokenizer.eos_token_id for ids in scored["context"]] == [True] * 3
    nothing, first = [-100] * 31, [scored["context"][0][1], *[-100] * 30]
    assert kind.decode(task, silent, scored, [nothing, nothing, nothing]) == ["", "", ""]
    assert kind.decode(task, silent, scored, [first, nothing, nothing])[0] == "the"


@pytest.mark.parametrize("name", [ANSWERED[0], *(pytest.param(name, marks=pytest.mark.slow) for name in ANSWERED[1:])])
def test_it_is_learnt_saved_and_scored(name, tmp_path):
    rows = labelled_rows(name)
    args = TrainingArguments(
        str(tmp_path / "run"), use_cpu=True, max_steps=60, per_device_train_batch_size=len(rows), learning_rate=1e-2,
        lr_scheduler_type="constant", save_strategy="no", logging_steps=20,
    )  # fmt: skip
    public = tiny.save(tmp_path / "public", "mt5", model_class=AutoModelForSeq2SeqLM)
    trainer = TargetTrainer(
        public, args, task=kind_cases.TASKS[name], text_to_text=True, train_dataset=rows, eval_dataset=rows
    )
    trainer.train()
    trainer.save_model()
    task = trainer.task
    assert trainer.evaluate()[f"eval_{task.metric}"] == 100.0
    assert trainer.evaluate()["eval_loss"] < 0.5
    stock = AutoModelForSeq2SeqLM.from_pretrained(args.output_dir, output_loading_info=True)[1]
    assert not stock["missing_keys"]
    model, order = load_trained(args.output_dir, task)
    again = predict(model, task, rows, trainer.processing_class, max_length=trainer.max_length)
    assert task.metric in kind_for(task).score(task, again, rows) and order is None
    assert kind_for(task).score(task, again, rows)[task.metric] == 100.0
    record = trainer.record()
    assert record.recipe["text_to_text"] is True
    assert repo_id("org", "mt5-base", ["mnli"], text_to_text=True) == "org/mt5-base-stilts-mnli-text"


@pytest.mark.slow
def test_a_benchmark_trains_text_to_text_what_has_text(tmp_path):
    mirror = mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    public = tiny.save(tmp_path / "mt5", "mt5", model_class=AutoModelForSeq2SeqLM)
    table = run_benchmark(
        "xtreme", public, out=tmp_path / "run", tasks=["xquad", "udpos"], languages=["en", "de"], data_dir=mirror,
        text_to_text=True, flags=["--max_steps", "2", "--use_cpu", "true"],
    )  # fmt: skip
    assert set(zip(table["task"], table["language"], strict=True)) == {
        (task, language) for task in ("xquad", "udpos") for language in ("en", "de")
    }
    trained = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run" / "training" / "squad_v1")
    scores = zero_shot(str(tmp_path / "run" / "training" / "squad_v1"), "xquad", ["de"], data_dir=mirror)
    same = zero_shot(trained, "xquad", ["de"], data_dir=mirror, tokenizer=tiny.tokenizer("mt5"))
    assert scores["score"].tolist() == same["score"].tolist() and (scores["setting"] == "zero-shot").all()


def test_what_cannot_be_meant_is_refused(tmp_path):
    public = tiny.save(tmp_path / "mt5", "mt5", model_class=AutoModelForSeq2SeqLM)
    with pytest.raises(StiltsError, match="udpos is a token-classification task, which has no text"):
        IntermediateTrainer(public, task="udpos", text_to_text=True)
    rows = labelled_rows("text-classification")
    with pytest.raises(StiltsError, match="Leave out --compact-vocabulary or --text-to-text"):
        IntermediateTrainer(
            public, task=kind_cases.TASKS["text-classification"], text_to_text=True, compact_vocabulary=True,
            train_dataset=rows, eval_dataset=rows,
        )  # fmt: skip
    task = replace(load_task("mnli"), text_to_text=True)
    with pytest.raises(StiltsError, match="xlm-roberta has no decoder to write answers with"):
        with_fresh_head(tiny.save(tmp_path / "xlmr", "xlm-roberta"), task)
    untrained, transfer = with_fresh_head(public, task)
    assert not transfer.fresh
    with pytest.raises(StiltsError, match="is as it was drawn"):
        load_trained(untrained, task)
    tagger = replace(load_task("udpos"), labels=("A", "B"))
    with_fresh_head(public, tagger)[0].save_pretrained(tmp_path / "tagger")
    with pytest.raises(StiltsError, match=r"does not hold decoder\..*trained with --text-to-text"):
        with_fresh_head(str(tmp_path / "tagger"), task)


def test_the_recipe_is_the_one_of_mt5():
    figures = recipe("jiant", replace(load_task("squad_v1"), text_to_text=True))
    arguments = figures.arguments()
    assert (figures.learning_rate, figures.max_length, figures.batch_size) == (1e-3, 1024, 16)
    assert (arguments["lr_scheduler_type"], arguments["optim"]) == ("constant", "adafactor")
