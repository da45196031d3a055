"""Any encoder, of eight families and as old as XLM or as new as EuroBERT, through every kind and every phase."""

import itertools
import re

import kind_cases
import numpy as np
import pytest
import tiny
import torch
import transformers
from datasets import Dataset
from kind_cases import labelled_rows
from transformers import TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.predict import predict
from hf_stilts.kinds import load_kind
from hf_stilts.kinds.features import readable_length
from hf_stilts.models.body import load_tokenizer
from hf_stilts.models.transfer import load_trained, with_fresh_head
from hf_stilts.retrieval import encode, match_translations
from hf_stilts.training.trainer import IntermediateTrainer, TargetTrainer

WITHOUT_MASKS = ("mt5", "umt5", "t5gemma")
# Trainings of a masked LM and of an encoder-decoder stand for the others, which slow tests train.
MARKS = {arch: () if arch in ("xlm-roberta", "mt5") else pytest.mark.slow for arch in tiny.MULTILINGUAL}
ENCODERS = [pytest.param(arch, marks=MARKS[arch]) for arch in tiny.MULTILINGUAL]
WAYS = [
    pytest.param(arch, kind, marks=MARKS[arch])
    for arch in tiny.MULTILINGUAL
    for kind in kind_cases.ROWS
    if not (arch in WITHOUT_MASKS and kind == "fill-mask")
]
STEPS = 8


def trained(folder, arch, name, phase=IntermediateTrainer, start=None):
    task, rows = kind_cases.TASKS[name], labelled_rows(name)
    args = TrainingArguments(
        str(folder / f"{phase.phase}-{name}"), use_cpu=True, max_steps=STEPS, per_device_train_batch_size=len(rows),
        learning_rate=1e-2, lr_scheduler_type="constant", save_strategy="no", logging_steps=1,
    )  # fmt: skip
    trainer = phase(start or tiny.save(folder / "public", arch), args, task=task, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    trainer.save_model()
    return trainer


@pytest.mark.parametrize(("arch", "name"), WAYS)
def test_every_kind_is_learnt_saved_and_loaded(arch, name, tmp_path):
    """The loss falls on the rows that it is trained on; what is saved loads by its stock name and predicts the same."""
    trainer = trained(tmp_path, arch, name)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert min(losses[-3:]) < losses[0], losses
    task, rows, folder = kind_cases.TASKS[name], labelled_rows(name), trainer.args.output_dir
    stock = getattr(transformers, transformers.AutoConfig.from_pretrained(folder).architectures[0])
    assert not stock.from_pretrained(folder, output_loading_info=True)[1]["missing_keys"]
    model, order = load_trained(folder, task)
    assert order is None
    tokenizer = load_tokenizer(folder)
    again = predict(model, task, rows, tokenizer, max_length=trainer.max_length)
    before = predict(trainer.model, task, rows, trainer.processing_class, max_length=trainer.max_length)
    if name == "fill-mask":
        np.testing.assert_allclose(np.array(again), np.array(before), rtol=1e-4)
    else:
        assert again == before
    assert set(load_kind(name).score(task, again, rows)) >= {task.metric}


@pytest.mark.parametrize("arch", ENCODERS)
def test_the_body_goes_from_phase_two_to_phase_three(arch, tmp_path):
    first = trained(tmp_path, arch, "text-classification")
    second = trained(tmp_path, arch, "token-classification", TargetTrainer, start=first.args.output_dir)
    assert second.transfer.carried and not [name for name in second.transfer.fresh if "embed" in name]
    fresh, _ = with_fresh_head(first.args.output_dir, kind_cases.TASKS["token-classification"])
    learnt = dict(first.model.base_model.named_parameters())
    came = [name for name, weight in fresh.base_model.named_parameters() if name in learnt and "pooler" not in name]
    assert came and all(torch.equal(fresh.base_model.get_parameter(name), learnt[name].cpu()) for name in came)


@pytest.mark.parametrize("arch", tiny.MULTILINGUAL)
def test_sentences_are_found_by_any_encoder(arch):
    """The encoder under a head gives each sentence a vector that is nearest to itself."""
    sentences = ["the cat reads", "a dog walks by the old river", "who sings ?", "two red books"]
    kind, task, _ = kind_cases.built("text-classification")
    model = tiny.with_head(kind.model_class(tiny.config(arch)), arch, **kind.head_config(task))
    vectors = encode(model, tiny.tokenizer(arch), sentences, layers="all")
    assert vectors.shape[:2] == (3, 4) and np.isfinite(vectors).all()
    assert match_translations(vectors[1], vectors[1]).indices.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("arch", tiny.MULTILINGUAL)
def test_windows_are_as_long_as_the_model_reads(arch):
    """A window of the longest length that is claimed goes through the model."""
    model, tokenizer = tiny.encoder(arch), tiny.tokenizer(arch)
    length = readable_length(model, tokenizer)
    assert length == tiny.POSITIONS
    words = Dataset.from_dict({"text": ["the cat reads a book " * 300], "label": [0]})
    kind, task, _ = kind_cases.built("text-classification")
    features = kind.features(task, words, tokenizer, max_length=length, train=False)
    head = tiny.with_head(kind.model_class(tiny.config(arch)), arch, **kind.head_config(task))
    with torch.inference_mode():
        logits = head(**kind_cases.batch_of(kind, features, tokenizer)).logits
    assert len(features[0]["input_ids"]) == length and torch.isfinite(logits).all()


@pytest.mark.parametrize("arch", ["eurobert", pytest.param("t5gemma", marks=MARKS["t5gemma"])])
def test_questions_without_a_stock_head_go_to_a_stock_token_classifier_with_two_labels(arch, tmp_path):
    assert transformers.AutoConfig.for_model(arch).__class__ not in transformers.MODEL_FOR_QUESTION_ANSWERING_MAPPING
    folder = trained(tmp_path, arch, "question-answering").args.output_dir
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    assert model.config.id2label == {0: "start", 1: "end"}
    tagger = trained(tmp_path, arch, "token-classification").args.output_dir
    wrong, _ = load_trained(tagger, kind_cases.TASKS["question-answering"])
    with pytest.raises(StiltsError, match="labels; the two of a question answering model are expected"):
        wrong(torch.tensor([[5, 6]]))


@pytest.mark.parametrize("arch", WITHOUT_MASKS)
def test_an_encoder_without_a_masked_lm_says_what_it_can_do(arch, tmp_path):
    with pytest.raises(StiltsError, match=rf"no fill-mask class for {arch}.*Choose such a base model"):
        with_fresh_head(tiny.save(tmp_path / "public", arch), kind_cases.TASKS["fill-mask"])


@pytest.mark.parametrize("length", [20, 32, 512])
def test_a_tokenizer_without_offsets_covers_whole_words(length):
    """XLM's, in Python: its windows overlap and cover the context, and an answer's tokens are those of its words."""
    kind, task, rows = kind_cases.built("question-answering")
    tokenizer = tiny.tokenizer("xlm")
    assert not tokenizer.is_fast
    features = kind.features(task, rows, tokenizer, max_length=length, train=False)
    assert max(map(len, features["input_ids"])) <= length
    for row, (context, answers) in enumerate(zip(rows["context"], rows["answers"], strict=True)):
        windows = [feature for feature in features if feature["row"] == row]
        spans = [
            sorted({(start, end) for start, end in zip(each["starts"], each["ends"], strict=True) if start >= 0})
            for each in windows
        ]
        words = [context[start:end] for start, end in sorted({span for each in spans for span in each})]
        assert words == [part for word in context.split() for part in re.findall(r"\w+|[^\w\s]", word)]
        assert all(set(before) & set(after) for before, after in itertools.pairwise(spans)), "windows share words"
        held = [each for each in windows if each["start_positions"] != each["null"]]
        assert held, "some window holds the answer"
        for each in held:
            found = context[each["starts"][each["start_positions"]] : each["ends"][each["end_positions"]]]
            assert found == answers["text"][0]


@pytest.mark.parametrize(("context", "answer"), [("139वें हिन्दी दिन", "हिन्दी"), ("এটি ঢাকা", "ঢাকা"), ("แมวนั่งอยู่", "นั่ง")])
def test_vowel_signs_stay_with_their_letters(context, answer):
    place = {"text": [answer], "answer_start": [context.index(answer)]}
    rows = Dataset.from_list([{"id": "1", "question": "?", "context": context, "answers": place}])
    kind, task, _ = kind_cases.built("question-answering")
    feature = kind.features(task, rows, tiny.tokenizer("xlm"), max_length=64, train=False)[0]
    found = context[feature["starts"][feature["start_positions"]] : feature["ends"][feature["end_positions"]]]
    assert found == answer


def test_words_of_scripts_without_blanks_are_signs():
    rows = Dataset.from_list(
        [{"id": "1", "question": "谁?", "context": "北京的猫3.5", "answers": {"text": ["猫"], "answer_start": [3]}}]
    )
    kind, task, _ = kind_cases.built("question-answering")
    feature = kind.features(task, rows, tiny.tokenizer("xlm"), max_length=64, train=False)[0]
    covered = sorted(
        {(start, end) for start, end in zip(feature["starts"], feature["ends"], strict=True) if start >= 0}
    )
    assert covered == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]
    assert feature["starts"][feature["start_positions"]] == 3
