"""Transfer between phases: the body comes along, no head weight does, labels go by name."""

import itertools

import pytest
import tiny
import torch
import transformers
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from hf_stilts.errors import StiltsError
from hf_stilts.models import transfer as module
from hf_stilts.models.transfer import label_order, load_trained, with_fresh_head
from hf_stilts.task import Task

LABELS = ("a", "b", "c")
TASKS = {
    kind: Task(kind=kind, dataset="x/y", labels=LABELS if "classification" in kind else (), name=kind)
    for kind in ("text-classification", "multiple-choice", "token-classification", "question-answering", "fill-mask")
}
EVERY_PAIR = ("xlm-roberta", "bert", "modernbert", "eurobert", "mt5")  # of the others one kind with every other
WITHOUT_MASKS = ("mt5", "umt5", "t5gemma")  # which have no masked-LM head
PAIRS = [
    pytest.param(before, after, arch, marks=() if arch in ("xlm-roberta", "modernbert", "mt5") else pytest.mark.slow)
    for before, after, arch in itertools.product(TASKS, TASKS, tiny.MULTILINGUAL)
    if (arch in EVERY_PAIR or "text-classification" in (before, after))
    and not (arch in WITHOUT_MASKS and ("fill-mask" in (before, after) or before == "token-classification" != after))
]


def without_prefix(model, name: str) -> str:
    return name.removeprefix(f"{model.base_model_prefix}.")


def body_names(model) -> set[str]:
    """Parameters that the bare `AutoModel` has too, poolers apart: those are trained under a head."""
    bare = set(AutoModel.from_config(model.config).state_dict())
    every = model.named_parameters(remove_duplicate=False)
    names = {name for name, _ in every if without_prefix(model, name) in bare}
    return {name for name in names if "pooler" not in name}


@pytest.mark.parametrize(("before", "after", "arch"), PAIRS)
def test_no_head_weight_travels(before, after, arch, tmp_path):
    """All that is not body is poisoned with 7.0; after the transfer no parameter is 7.0 and the body is the same.

    Stock transformers loads what is saved then: the new head's configuration has nothing of the old one's either.
    """
    old, _ = with_fresh_head(tiny.save(tmp_path / "public", arch), TASKS[before])
    body = body_names(old)
    with torch.no_grad():
        shared = {id(old.get_parameter(name)) for name in body}  # a masked-LM head is tied to the body's embeddings
        for parameter in old.parameters():
            if id(parameter) not in shared:
                parameter.fill_(7.0)
    old.save_pretrained(tmp_path / "old")
    tiny.tokenizer(arch).save_pretrained(tmp_path / "old")
    new, transfer = with_fresh_head(str(tmp_path / "old"), TASKS[after])
    new.save_pretrained(tmp_path / "new")
    _, about = getattr(transformers, type(new).__name__).from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not about["missing_keys"]
    if before == after == "fill-mask":  # continuing the same objective keeps its head, on purpose
        assert not transfer.fresh
        return
    for name, parameter in new.named_parameters():
        if (before, arch, name.split(".")[0]) == ("fill-mask", "modernbert", "head"):
            continue  # pre-trained with the masked LM: see test_modernberts_prediction_layer_travels_as_in_stock
        assert not (parameter == 7.0).any(), f"{name} came along from the {before} head"
    kept = {without_prefix(new, name): parameter for name, parameter in new.named_parameters()}
    came = [name for name in body if without_prefix(old, name) in kept]
    assert came
    for name in came:
        parameter = old.get_parameter(name)
        assert torch.equal(parameter, kept[without_prefix(old, name)]), f"{name} of the body did not come along"


@pytest.mark.parametrize("arch", ["mt5", "umt5"])
def test_a_tagger_without_its_decoder_is_no_classifiers_body(arch, tmp_path):
    """Stock mT5 tags with its encoder, and classifies through its decoder: a random one must not pass for trained."""
    tagger, _ = with_fresh_head(tiny.save(tmp_path / "public", arch), TASKS["token-classification"])
    tagger.save_pretrained(tmp_path / "tagger")
    for after in ("text-classification", "question-answering", "multiple-choice"):
        with pytest.raises(StiltsError, match=r"does not hold decoder.*random.*tagging or retrieval"):
            with_fresh_head(str(tmp_path / "tagger"), TASKS[after])
    with_fresh_head(str(tmp_path / "tagger"), TASKS["token-classification"])


def test_the_transfer_says_what_is_new(tmp_path):
    _, transfer = with_fresh_head(tiny.save(tmp_path / "public"), TASKS["token-classification"])
    assert transfer.fresh == ("classifier.weight", "classifier.bias")
    assert str(transfer).endswith(f"{tmp_path / 'public'}; new: classifier.")


def test_a_public_models_pooler_travels_and_a_heads_pooler_does_not(tmp_path):
    """BERT's pooler is pre-trained by next-sentence prediction; after MNLI it belongs to the NLI head."""
    public = tiny.save(tmp_path / "public", "bert")
    pooler = AutoModel.from_pretrained(public).pooler.dense.weight
    first, _ = with_fresh_head(public, TASKS["text-classification"])
    assert torch.equal(first.bert.pooler.dense.weight, pooler)
    first.save_pretrained(tmp_path / "mnli")
    second, transfer = with_fresh_head(str(tmp_path / "mnli"), TASKS["multiple-choice"])
    assert not torch.equal(second.bert.pooler.dense.weight, pooler)
    assert "bert.pooler.dense.weight" in transfer.fresh


def test_modernberts_prediction_layer_travels_as_in_stock(tmp_path):
    """Its masked LM and its classifiers share `head.dense`: it comes along pre-trained, and not trained on a task."""
    public = tiny.save(tmp_path / "public", "modernbert", model_class=AutoModelForMaskedLM)
    nli, transfer = with_fresh_head(public, TASKS["text-classification"])
    stock = AutoModelForSequenceClassification.from_pretrained(public, num_labels=3)
    assert torch.equal(nli.head.dense.weight, stock.head.dense.weight)
    assert [name for name in transfer.fresh if name.startswith("head")] == []
    nli.save_pretrained(tmp_path / "nli")
    for after in ("token-classification", "fill-mask"):
        new, transfer = with_fresh_head(str(tmp_path / "nli"), TASKS[after])
        assert not torch.equal(new.head.dense.weight, nli.head.dense.weight)
        assert "head.dense.weight" in transfer.fresh


def test_labels_bear_the_tasks_names(tmp_path):
    model, _ = with_fresh_head(tiny.save(tmp_path / "public"), TASKS["text-classification"])
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.label2id == {label: index for index, label in enumerate(LABELS)}


def test_a_seed_decides_the_head(tmp_path):
    public = tiny.save(tmp_path / "public")
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(with_fresh_head(public, TASKS["token-classification"])[0].classifier.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_an_untrained_head_is_never_scored(tmp_path):
    public = tiny.save(tmp_path / "public")
    with pytest.raises(StiltsError, match="no trained head.*classifier.*hf-stilts target"):
        load_trained(public, TASKS["token-classification"])


def test_labels_in_another_order_are_matched_by_name(tmp_path):
    nli = Task(
        kind="text-classification", dataset="x/y", name="nli", labels=("entailment", "neutral", "contradiction"),
        aliases={"contradictory": "contradiction"},
    )  # fmt: skip
    folder = tiny.save(
        tmp_path / "m", model_class=AutoModelForSequenceClassification, num_labels=3,
        id2label={0: "Contradictory", 1: "Neutral", 2: "Entailment"},
    )  # fmt: skip
    assert load_trained(folder, nli)[1] == [2, 1, 0]


def test_nameless_labels_are_refused():
    with pytest.raises(StiltsError, match=r"LABEL_0.*Add aliases="):
        label_order(tiny.config(num_labels=3), TASKS["text-classification"])


def test_what_stands_above_a_body_is_found_once_for_a_configuration(tmp_path, monkeypatch):
    """It takes two models to be made, and a study asks for every training that starts from the same encoder."""
    above, made = module._above, []
    monkeypatch.setattr(module, "_NAMES_ABOVE", {})
    monkeypatch.setattr(module, "_above", lambda model: made.append(type(model).__name__) or above(model))
    folder = tiny.save(tmp_path / "public", model_class=AutoModelForMaskedLM)
    for _ in range(3):
        assert module._wanted_masked_lm(module.open_checkpoint(folder), TASKS["token-classification"]) is None
    assert made == ["XLMRobertaForTokenClassification", "XLMRobertaForMaskedLM"]
