"""LoRA in both phases: equal logits merged and unmerged, megabytes on disk, and two adapters stacked into one."""

import json
import shutil

import pytest
import tiny
import torch
from kind_cases import rows_of
from safetensors.torch import load_file
from toy_tasks import CHOICES, PAIRS, SPANS, TAGS, rows
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.models.adapters import Adapter, lora_config, split_off, stacked
from hf_stilts.models.body import load_body
from hf_stilts.models.compatibility import check_start
from hf_stilts.models.heads import load_checkpoint
from hf_stilts.models.opened import open_checkpoint
from hf_stilts.models.transfer import load_intermediate, load_trained, with_fresh_head
from hf_stilts.retrieval import encode
from hf_stilts.task import Task
from hf_stilts.training.dual_encoder import DualEncoderTrainer
from hf_stilts.training.trainer import IntermediateTrainer, TargetTrainer

TEXT = Task(kind="fill-mask", dataset="x/y", name="text")
peft = pytest.importorskip("peft", reason="peft is not installed")
IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])


def trainer(folder, start, task=PAIRS, phase=IntermediateTrainer, **settings):
    """Four steps on 8 rows, with a learning rate at which LoRA moves far."""
    arguments = {"max_steps": 4, "save_steps": 2, "learning_rate": 3e-2, "per_device_train_batch_size": 8}
    arguments |= settings.pop("arguments", {})
    args = TrainingArguments(str(folder), use_cpu=True, report_to="none", **arguments)
    start = start if isinstance(start, dict) else {"model": start}
    data = settings.pop("data", None) or rows(task)
    settings = {"adapter": "lora=4", "train_dataset": data, "eval_dataset": data, **settings}
    return phase(**start, args=args, task=task, **settings)


@pytest.fixture
def public(tmp_path):
    return tiny.save(tmp_path / "public")


@pytest.fixture
def trained(tmp_path, public):
    run = trainer(tmp_path / "adapter", public)
    run.train()
    run.save_model()
    return run


def outputs(model, batch):
    with torch.inference_mode():
        found = model.eval()(**{name: value for name, value in batch.items() if name != "labels"})
    return torch.cat([value.flatten() for name, value in found.items() if name.endswith("logits")])


def states(model):
    inputs = {"decoder_input_ids": IDS} if model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        return model.eval()(input_ids=IDS, **inputs).last_hidden_state


@pytest.mark.parametrize("arch", ["xlm-roberta", "bert", "mt5"])
@pytest.mark.parametrize("task", [PAIRS, TAGS, SPANS, CHOICES], ids=lambda task: task.kind)
def test_merged_and_unmerged_give_the_same_logits(arch, task, tmp_path):
    public = tiny.save(tmp_path / "public", arch)
    run = trainer(tmp_path / "run", public, task)
    run.train()
    run.save_model()
    batch = run.data_collator([run.train_dataset[place] for place in range(4)])
    merged, order = load_trained(str(tmp_path / "run"), task)
    unmerged = outputs(run.model, batch)
    torch.testing.assert_close(outputs(merged, batch), unmerged, rtol=1e-5, atol=1e-5)
    assert order is None
    assert not [name for name, _ in merged.named_modules() if "lora" in name]
    with run.lora.peft.disable_adapter():
        assert (outputs(run.model, batch) - unmerged).abs().max() > 1e-4, "the adapter changes something"


@pytest.mark.parametrize("arch", ["xlm-roberta", "bert", "mt5"])
def test_stock_peft_loads_it_on_the_public_body(arch, tmp_path):
    public = tiny.save(tmp_path / "public", arch)
    run = trainer(tmp_path / "run", public)
    run.train()
    before = AutoModel.from_pretrained(public)
    stock = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(public), tmp_path / "run/checkpoint-4")
    merged, _ = load_body(str(tmp_path / "run/checkpoint-4"))
    torch.testing.assert_close(states(stock), states(merged), rtol=1e-5, atol=1e-5)
    assert (states(before) - states(merged)).abs().max() > 1e-3
    auto = peft.AutoPeftModelForFeatureExtraction.from_pretrained(str(tmp_path / "run/checkpoint-4"))
    assert torch.equal(states(auto), states(stock))


def test_only_lora_and_the_head_are_trained_and_saved(tmp_path, trained):
    """2 layers x query and value x A and B of 4 x 32 are 1,024 weights; the body has 25 times as many."""
    weights = load_file(tmp_path / "adapter/adapter_model.safetensors")
    assert sum(weight.numel() for weight in weights.values()) == 2 * 2 * 2 * 4 * 32
    assert all(".lora_A." in name or ".lora_B." in name for name in weights)
    names = {path.relative_to(tmp_path / "adapter").as_posix() for path in (tmp_path / "adapter").rglob("*")}
    assert {name for name in names if name.endswith("safetensors") and "checkpoint" not in name} == {
        "adapter_model.safetensors", "heads/pairs/head.safetensors"
    }  # fmt: skip
    assert "README.md" not in names and "config.json" not in names
    assert set(load_file(tmp_path / "adapter/heads/pairs/head.safetensors")) == {
        f"classifier.{part}.{kind}" for part in ("dense", "out_proj") for kind in ("weight", "bias")
    }
    size = (tmp_path / "adapter/adapter_model.safetensors").stat().st_size
    assert size * 10 < (tmp_path / "public/model.safetensors").stat().st_size
    body = AutoModel.from_pretrained(tmp_path / "public").state_dict()
    now = trained.model.base_model.state_dict()
    same = [name for name in body if name in now]
    assert len(same) > 20 and all(torch.equal(body[name], now[name]) for name in same)
    assert trained.record().recipe["adapter"] == "lora=4"
    assert json.loads((tmp_path / "adapter/stilts.json").read_text())["library"] == "peft"


def test_berts_pooler_is_trained_as_a_part_of_the_head(tmp_path):
    public = tiny.save(tmp_path / "public", "bert")
    run = trainer(tmp_path / "run", public, adapter=peft.LoraConfig(r=2, target_modules="all-linear"))
    run.train()
    assert not [name for name, _ in run.model.named_parameters() if "pooler" in name and "lora" in name]
    pooler = AutoModel.from_pretrained(public).pooler.dense.weight
    assert not torch.equal(run.model.bert.pooler.dense.weight, pooler)
    assert torch.equal(load_body(str(tmp_path / "run/checkpoint-4"))[0].pooler.dense.weight, pooler)
    batch = run.data_collator([run.train_dataset[0]])
    merged, _ = load_trained(str(tmp_path / "run/checkpoint-4"), PAIRS)
    torch.testing.assert_close(outputs(merged, batch), outputs(run.model, batch), rtol=1e-5, atol=1e-5)


def test_vectors_are_those_of_the_trained_body(tmp_path, trained):
    sentences = ["the cat reads", "a dog"]
    words = AutoTokenizer.from_pretrained(tmp_path / "adapter")
    merged = load_intermediate(str(tmp_path / "adapter"))
    first, second = (encode(model, words, sentences) for model in (trained.model, merged))
    torch.testing.assert_close(torch.tensor(first), torch.tensor(second), rtol=1e-5, atol=1e-5)
    assert type(merged).__name__ == "XLMRobertaModel"


@pytest.mark.parametrize("best", [False, True])
def test_resume_goes_on_as_if_uninterrupted(best, tmp_path, public):
    arguments = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": best}
    arguments |= {"metric_for_best_model": "loss", "greater_is_better": True}  # the loss falls: step 2 is best
    run = trainer(tmp_path / "run", public, arguments=arguments)
    run.train()
    shutil.copytree(tmp_path / "run/checkpoint-2", tmp_path / "again/checkpoint-2")
    again = trainer(tmp_path / "again", public, arguments=arguments)
    again.train(resume_from_checkpoint=True)
    for file in ("adapter_model.safetensors", "heads/pairs/head.safetensors"):
        first, second = (load_file(tmp_path / name / "checkpoint-4" / file) for name in ("run", "again"))
        assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    if best:
        saved = load_file(tmp_path / "run/checkpoint-2/adapter_model.safetensors")
        assert all(torch.equal(weight, saved[name]) for name, weight in run.lora.trained().weights.items())


def test_merged_for_phase_three_it_is_a_stock_model(tmp_path, trained):
    target = trainer(tmp_path / "target", {"init": str(tmp_path / "adapter")}, TAGS, TargetTrainer, adapter=None)
    merged = dict(load_body(str(tmp_path / "adapter"))[0].named_parameters())
    body = dict(target.model.base_model.named_parameters())
    assert all(torch.equal(weight, merged[name]) for name, weight in body.items() if "pooler" not in name)
    assert target.transfer.fresh == ("classifier.weight", "classifier.bias")
    target.train()
    assert {"model.safetensors", "config.json"} <= {path.name for path in (tmp_path / "target/checkpoint-4").iterdir()}
    assert not list((tmp_path / "target").rglob("adapter*"))
    assert not torch.equal(merged["encoder.layer.0.output.dense.weight"],
                           target.model.base_model.encoder.layer[0].output.dense.weight)  # fmt: skip


def test_stacked_two_adapters_are_one_of_the_public_model(tmp_path, public, trained):
    """Rank 4 of phase two and rank 2 of phase three: rank 6, whose body is that of the training."""
    start = {"init": str(tmp_path / "adapter"), "model": public}
    target = trainer(tmp_path / "target", start, TAGS, TargetTrainer, adapter="lora=2")
    assert target.record().parent.id == "adapter"
    target.train()
    config = json.loads((tmp_path / "target/checkpoint-4/adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (6, public)
    stock = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(public), tmp_path / "target/checkpoint-4")
    found = states(stock)
    torch.testing.assert_close(found, states(target.model.base_model), rtol=1e-5, atol=1e-5)
    assert (found - states(load_body(str(tmp_path / "adapter"))[0])).abs().max() > 1e-3
    batch = target.data_collator([target.train_dataset[0]])
    merged, _ = load_trained(str(tmp_path / "target/checkpoint-4"), TAGS)
    torch.testing.assert_close(outputs(merged, batch), outputs(target.model, batch), rtol=1e-5, atol=1e-5)
    shutil.copytree(tmp_path / "target/checkpoint-2", tmp_path / "again/checkpoint-2")
    again = trainer(tmp_path / "again", start, TAGS, TargetTrainer, adapter="lora=2")
    again.train(resume_from_checkpoint=True)
    first, second = (
        load_file(tmp_path / name / "checkpoint-4/adapter_model.safetensors") for name in ("target", "again")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_one_after_another_goes_on_with_body_and_head(tmp_path, trained):
    """As SIQA and then COPA: the second adapter stands upon the first, and the head goes on."""
    second = trainer(tmp_path / "second", {"after": tmp_path / "adapter"}, phase=TargetTrainer, adapter="lora=2")
    batch = second.data_collator([second.train_dataset[0]])
    torch.testing.assert_close(outputs(second.model, batch), outputs(trained.model, batch), rtol=1e-5, atol=1e-5)
    second.train()
    assert open_checkpoint(str(tmp_path / "second/checkpoint-4")).adapter.config.r == 6


def test_the_sum_of_two_products_is_the_product_side_by_side():
    """2 B1 A1 + 0.5 B2 A2 where both adapt `q`, one term alone where one does; the second comes back bit by bit."""
    torch.manual_seed(0)
    first, second = (
        Adapter(
            peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=[*names]),
            {
                f"{name}.lora_{side}.weight": torch.randn((rank, 5) if side == "A" else (5, rank))
                for name in names for side in "AB"
            },
        )
        for rank, alpha, names in ((2, 4, "qv"), (4, 2, "qk"))
    )  # fmt: skip

    def product(adapter, name):
        a, b = (adapter.weights.get(f"{name}.lora_{side}.weight") for side in "AB")
        return torch.zeros(5, 5) if a is None else adapter.scale * b @ a

    both = stacked(first, second)
    assert (both.config.r, both.scale, sorted(both.config.target_modules)) == (6, 0.5, ["k", "q", "v"])
    for name in "qkv":
        torch.testing.assert_close(product(both, name), product(first, name) + product(second, name))
    found = split_off(both.weights, 2)
    assert all(torch.equal(found[name], weight) for name, weight in second.weights.items())


def test_an_adapter_with_a_head_that_stock_peft_saved_is_a_start(tmp_path, public):
    """Its names are those of the whole classifier; the body's part is taken, the head's is not."""
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, init_lora_weights=False)
    head, _ = with_fresh_head(public, PAIRS)
    peft.get_peft_model(head, config).save_pretrained(tmp_path / "stock")
    body, _ = load_body(str(tmp_path / "stock"))
    torch.testing.assert_close(states(body), states(head.roberta), rtol=1e-5, atol=1e-5)
    assert (states(body) - states(AutoModel.from_pretrained(public))).abs().max() > 1e-3
    with pytest.raises(StiltsError, match="stock is an adapter with no head beside it; pairs expects"):
        load_trained(str(tmp_path / "stock"), PAIRS)


def test_the_head_is_found_whatever_its_task_was_called(tmp_path, trained):
    """The labels decide, as for a whole model."""
    other = Task(kind="text-classification", dataset="x/y", labels=("yes", "no"), name="other")
    model, order = load_trained(str(tmp_path / "adapter"), other)
    assert order == [1, 0]
    assert type(load_checkpoint(str(tmp_path / "adapter"))) is type(model)
    with pytest.raises(
        StiltsError, match="a XLMRobertaForSequenceClassification beside it; tags expects a token-class"
    ):
        load_trained(str(tmp_path / "adapter"), TAGS)


def test_a_masked_lm_goes_on_with_its_head(tmp_path):
    public = tiny.save(tmp_path / "public", model_class=AutoModelForMaskedLM)
    run = trainer(tmp_path / "run", public, TEXT, data=rows_of("fill-mask").select([0, 1]))
    run.train()
    run.save_model()
    head = load_file(tmp_path / "run/heads" / TEXT.name / "head.safetensors")
    assert not [name for name in head if "embeddings" in name or "decoder.weight" in name]
    merged, transfer = with_fresh_head(str(tmp_path / "run"), TEXT)
    assert not transfer.fresh
    torch.testing.assert_close(
        outputs(merged, {"input_ids": IDS}), outputs(run.model, {"input_ids": IDS}), rtol=1e-5, atol=1e-5
    )
    tagger, transfer = with_fresh_head(str(tmp_path / "run"), TAGS)
    assert transfer.fresh == ("classifier.weight", "classifier.bias")


def test_a_folder_holds_one_or_the_other(tmp_path, public, trained):
    run = trainer(tmp_path / "adapter", public, adapter=None)
    run.save_model()
    assert open_checkpoint(str(tmp_path / "adapter")).adapter is None
    trained.save_model()
    assert open_checkpoint(str(tmp_path / "adapter")).adapter is not None
    assert not (tmp_path / "adapter/model.safetensors").exists()


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ("merge", "adapter is 'merge'; expected lora, or lora=32"),
        ("lora=", "expected lora"),
        ("lora=0", "expected lora"),
        (3, "adapter is a int; expected"),
        (peft.IA3Config(), "adapter is a IA3Config"),
        (peft.LoraConfig(modules_to_save=["classifier"]), "would save weights of the base model"),
        (peft.LoraConfig(init_lora_weights="pissa"), "changes the base model"),
    ],
)
def test_what_is_no_adapter_is_said(adapter, message):
    with pytest.raises(StiltsError, match=message):
        lora_config(adapter)


def test_wrong_use_is_refused(tmp_path, public, trained):
    adapter = str(tmp_path / "adapter")
    with pytest.raises(StiltsError, match="no training data and no head"):
        trainer(tmp_path / "x", public, "tatoeba", data=rows(PAIRS))
    with pytest.raises(StiltsError, match="not trained with adapter="):
        DualEncoderTrainer(public, task="squad_sentences", adapter="lora")
    with pytest.raises(StiltsError, match="Pass base= or init= in place of model="):
        trainer(tmp_path / "x", tiny.with_head(AutoModel), processing_class=tiny.tokenizer())
    other = tiny.save(tmp_path / "other")
    with pytest.raises(StiltsError, match=r"is an adapter of .*public; .*other was asked for.*\(--base\)"):
        trainer(tmp_path / "x", {"init": adapter, "model": other}, phase=TargetTrainer)
    check_start(resolve(adapter), public)
    with pytest.raises(StiltsError, match=r"embeddings are frozen already: compact_vocabulary saves nothing"):
        trainer(tmp_path / "x", public, compact_vocabulary=True)
    with pytest.raises(StiltsError, match="use_dora=True cannot be stacked.*Leave out adapter= .--adapter"):
        trainer(tmp_path / "x", {"init": adapter}, phase=TargetTrainer, adapter=peft.LoraConfig(use_dora=True))
    bert = tiny.save(tmp_path / "bert", "bert", num_hidden_layers=1)
    config = tmp_path / "adapter/adapter_config.json"
    config.write_text(config.read_text().replace(public, bert))
    with pytest.raises(StiltsError, match=r"encoder.layer.1.*does not fit BertModel"):
        load_body(adapter)


def test_resuming_what_was_trained_in_full_is_refused(tmp_path, public):
    trainer(tmp_path / "run", public, adapter=None).train()
    with pytest.raises(StiltsError, match=r"trained without adapter=.*another --output_dir"):
        trainer(tmp_path / "run", public).train(resume_from_checkpoint=True)


def test_another_rank_is_refused_on_resume(tmp_path, public):
    trainer(tmp_path / "run", public).train()
    with pytest.raises(StiltsError, match="Expected the same architecture, rank"):
        trainer(tmp_path / "run", public, adapter="lora=8").train(resume_from_checkpoint=True)
