"""Heads on one body: what is shared, what is saved, and that stock classes give the mixture's own logits."""

import pytest
import tiny
import torch
from kind_cases import TASKS, batch_of, rows_of
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, PreTrainedModel

from hf_stilts.errors import StiltsError
from hf_stilts.kinds import load_kind
from hf_stilts.models.heads import load_checkpoint
from hf_stilts.models.transfer import load_intermediate, load_trained
from hf_stilts.task import Task
from hf_stilts.training.mixture_tasks import shared_model

HEADS = {task.name: task for task in TASKS.values()}


def mixture(folder, arch="xlm-roberta", tasks=HEADS):
    """A mixture whose every weight has been moved away from the one that it was loaded with."""
    kept = {name: task for name, task in tasks.items() if not (arch == "mt5" and task.kind == "fill-mask")}
    public = AutoModel if arch == "mt5" else AutoModelForMaskedLM
    model, _ = shared_model(tiny.save(folder / "public", arch, model_class=public), kept, None, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    model.save_pretrained(folder / "mixed")
    tiny.tokenizer(arch).save_pretrained(folder / "mixed")
    return model.eval(), str(folder / "mixed")


def inputs_of(task, arch):
    kind = load_kind(task.kind)
    words = tiny.tokenizer(arch)
    features = kind.features(task, rows_of(task.kind), words, max_length=32, train=False)
    return batch_of(kind, features, words)


def logits_of(outputs):
    return outputs["start_logits"] if "start_logits" in outputs else outputs["logits"]


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_a_loaded_head_gives_the_mixtures_logits(arch, tmp_path):
    model, folder = mixture(tmp_path, arch)
    for task in model.heads:
        loaded = load_checkpoint(folder, head=task)
        assert type(loaded).__module__.startswith("transformers.")
        if (arch, HEADS[task].kind) == ("mt5", "multiple-choice"):
            continue  # the stock class of its head reads choices one by one
        batch = inputs_of(HEADS[task], arch)
        with torch.inference_mode():
            expected, found = model(task=task, **batch), loaded(**batch)
        assert torch.equal(logits_of(expected), logits_of(found))
        assert torch.equal(expected["loss"], found["loss"])


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_the_root_is_the_body_for_stock_automodel(arch, tmp_path):
    model, folder = mixture(tmp_path, arch)
    stock, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not info["unexpected_keys"] and all("pooler" in name for name in info["missing_keys"])
    ids = torch.tensor([[5, 6, 7, 8]])
    given = {"decoder_input_ids": ids} if arch == "mt5" else {}
    with torch.inference_mode():
        expected = model.body.eval()(input_ids=ids, **given)[0]
        assert torch.equal(stock.eval()(input_ids=ids, **given)[0], expected)


@pytest.mark.parametrize("arch", ["xlm-roberta", "bert", "mt5"])
def test_the_body_is_stored_once(arch, tmp_path):
    model, folder = mixture(tmp_path, arch)
    body = {name for name in load_file(f"{folder}/model.safetensors")}
    own = sum(
        tensor.numel()
        for task in model.heads
        for tensor in load_file(f"{folder}/heads/{task}/head.safetensors").values()
    )
    trained = sum(parameter.numel() for name, parameter in model.named_parameters() if not name.startswith("body."))
    assert own == trained  # named_parameters gives what is shared once, as the body's
    assert not any("pooler" in name for name in body)


def test_all_heads_see_one_body(tmp_path):
    model, _ = mixture(tmp_path)
    embeddings = {id(head.get_input_embeddings().weight) for head in model.heads.values()}
    assert embeddings == {id(model.get_input_embeddings().weight)}
    assert model.heads["fill_mask"].lm_head.decoder.weight is model.get_input_embeddings().weight
    names = [name for name, _ in model.named_parameters()]
    assert not any(".encoder." in name or ".embeddings." in name for name in names if name.startswith("heads."))


def test_the_masked_lm_head_of_the_public_model_survives(tmp_path):
    tiny.save(tmp_path / "public", model_class=AutoModelForMaskedLM)
    public = AutoModelForMaskedLM.from_pretrained(tmp_path / "public")
    model, transfer = shared_model(str(tmp_path / "public"), HEADS, None, seed=0)
    assert torch.equal(model.heads["fill_mask"].lm_head.dense.weight, public.lm_head.dense.weight)
    assert not any("fill_mask" in name for name in transfer.fresh)
    _, folder = mixture(tmp_path)
    loaded = load_checkpoint(folder, head="fill_mask")
    assert loaded.lm_head.decoder.weight is loaded.get_input_embeddings().weight
    assert "lm_head.decoder.weight" not in load_file(f"{folder}/heads/fill_mask/head.safetensors")


def test_the_seed_decides_a_head_and_not_its_companions(tmp_path):
    public = tiny.save(tmp_path / "public")
    both, _ = shared_model(public, HEADS, None, seed=3)
    alone, _ = shared_model(public, {"token_classification": HEADS["token_classification"]}, None, seed=3)
    first, second = (model.heads["token_classification"].classifier.weight for model in (both, alone))
    assert torch.equal(first, second)


def test_stock_loading_of_a_heads_folder_fails_instead_of_inventing_a_body(tmp_path):
    _, folder = mixture(tmp_path)
    with pytest.raises(OSError, match="model.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(folder, subfolder="heads/text_classification")


def test_a_head_saved_again_is_a_stock_checkpoint(tmp_path):
    model, folder = mixture(tmp_path)
    load_checkpoint(folder, head="text_classification").save_pretrained(tmp_path / "alone")
    stock, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "alone", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert stock.config.id2label == {0: "entailment", 1: "neutral", 2: "contradiction"}
    batch = inputs_of(HEADS["text_classification"], "xlm-roberta")
    with torch.inference_mode():
        assert torch.equal(stock.eval()(**batch).logits, model(task="text_classification", **batch).logits)


@pytest.mark.parametrize("arch", ["xlm-roberta", "bert"])
def test_a_mixtures_body_is_transferred_and_none_of_its_heads(arch, tmp_path):
    model, folder = mixture(tmp_path, arch)
    target = Task(kind="text-classification", dataset="x/y", labels=("a", "b"), name="target")
    first, second = (load_intermediate(folder, target) for _ in range(2))
    assert isinstance(first, PreTrainedModel) and first.config.num_labels == 2
    body = {name: tensor for name, tensor in model.body.state_dict().items() if "pooler" not in name}
    kept = first.base_model.state_dict()
    assert body and all(torch.equal(kept[name], tensor) for name, tensor in body.items())
    if arch == "bert":  # a pooler that belongs to no head any more starts anew
        assert not torch.equal(first.bert.pooler.dense.weight, second.bert.pooler.dense.weight)


def test_a_mixtures_head_is_found_by_those_who_score_its_task(tmp_path):
    """XNLI is scored with the head that was trained on the task that trains it."""
    model, folder = mixture(tmp_path)
    nli = Task(kind="text-classification", dataset="x/y", name="xnli", train=("text_classification",),
               labels=("neutral", "entailment", "contradiction"))  # fmt: skip
    loaded, order = load_trained(folder, nli)
    assert order == [1, 0, 2]
    assert torch.equal(loaded.classifier.out_proj.weight, model.heads["text_classification"].classifier.out_proj.weight)
    with pytest.raises(StiltsError, match="no trained head for other"):
        load_trained(folder, Task(kind="text-classification", dataset="x/y", name="other", labels=("a", "b", "c")))


def test_a_masked_lm_goes_on_from_a_mixtures_head(tmp_path):
    model, folder = mixture(tmp_path)
    again, transfer = shared_model(folder, HEADS, None, seed=0)
    before, after = (each.heads["fill_mask"].lm_head.dense.weight for each in (model, again))
    assert torch.equal(before, after) and not any("fill_mask" in name for name in transfer.fresh)


def test_weights_come_back_and_another_model_is_refused(tmp_path):
    model, folder = mixture(tmp_path)
    before = {name: parameter.clone() for name, parameter in model.named_parameters() if "body.pooler" not in name}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model.load_weights(folder)
    after = dict(model.named_parameters())
    assert all(torch.equal(after[name], parameter) for name, parameter in before.items())
    path = f"{folder}/heads/text_classification/head.safetensors"
    whole = load_file(path)
    save_file({name: whole[name] for name in list(whole)[1:]}, path)
    with pytest.raises(StiltsError, match=r"lacks classifier\..*Use a checkpoint of the same tasks"):
        model.load_weights(folder)


def test_a_head_that_is_not_there_is_named(tmp_path):
    _, folder = mixture(tmp_path)
    with pytest.raises(StiltsError, match="no head 'qqp' in heads/"):
        load_checkpoint(folder, head="qqp")


def test_without_a_head_a_checkpoint_is_what_its_root_says(tmp_path):
    _, folder = mixture(tmp_path)
    assert type(load_checkpoint(folder)).__name__ == "XLMRobertaModel"
    single = tiny.save(tmp_path / "single", model_class=AutoModelForSequenceClassification, num_labels=3)
    assert type(load_checkpoint(single)).__name__ == "XLMRobertaForSequenceClassification"


def test_a_class_that_transformers_does_not_have_is_refused(tmp_path):
    folder = tmp_path / "odd"
    tiny.save(folder)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"XLMRobertaModel"', '"pipeline"'))
    with pytest.raises(StiltsError, match="names the class 'pipeline'"):
        load_checkpoint(str(folder))
