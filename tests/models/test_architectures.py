"""Any encoder that `AutoModel` loads: LoRA finds its modules, windows end where positions do, padding is put right."""

import logging

import pytest
import tiny
import torch
from toy_tasks import PAIRS, rows
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, TrainingArguments

from hf_stilts.errors import StiltsError
from hf_stilts.kinds.features import check_length, readable_length
from hf_stilts.models.adapters import choose_modules, lora_config
from hf_stilts.models.body import match_padding
from hf_stilts.retrieval.encode import UNLIMITED, position_limit
from hf_stilts.training.trainer import IntermediateTrainer

SMALL = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, vocab_size=90, pad_token_id=1
)  # fmt: skip
# Architecture -> what its configuration calls its sizes, and the tokens that it has positions for (None: no table).
ENCODERS = {
    "bert": (SMALL, 512),
    "roberta": (SMALL | {"max_position_embeddings": 514}, 512),
    "xlm-roberta": (SMALL | {"max_position_embeddings": 514}, 512),
    "xlm-roberta-xl": (SMALL | {"max_position_embeddings": 514}, 512),
    "camembert": (SMALL | {"max_position_embeddings": 514}, 512),
    "electra": (SMALL | {"embedding_size": 32}, 512),
    "albert": (SMALL | {"embedding_size": 32}, 512),
    "mpnet": (SMALL | {"max_position_embeddings": 514}, 512),
    "rembert": (SMALL | {"input_embedding_size": 16}, 512),
    "deberta-v2": (SMALL | {"max_position_embeddings": 128}, 128),
    "modernbert": (SMALL | {"cls_token_id": 0, "sep_token_id": 2, "local_attention": 8}, None),
    "distilbert": (dict(dim=32, hidden_dim=48, n_layers=2, n_heads=2, vocab_size=90, max_position_embeddings=64), 64),
    "xlm": (dict(emb_dim=32, n_layers=2, n_heads=2, vocab_size=90, max_position_embeddings=256, n_langs=1), 256),
    "convbert": (SMALL | {"embedding_size": 32}, 512),
    "roformer": (SMALL | {"embedding_size": 32}, 1536),
    "eurobert": (SMALL | {"num_key_value_heads": 2}, None),
}


def model_of(arch):
    try:
        config = AutoConfig.for_model(arch, **ENCODERS[arch][0])
    except ValueError:
        pytest.skip(f"this transformers has no {arch}")
    return AutoModel.from_config(config).eval()


@pytest.mark.parametrize("arch", ENCODERS)
def test_lora_finds_modules_in_every_encoder(arch):
    body, config = model_of(arch), lora_config("lora=2")
    choose_modules(body, config)
    from peft import get_peft_model

    adapted = get_peft_model(body, config)
    assert any("lora_A" in name for name, _ in adapted.named_parameters())


@pytest.mark.parametrize("arch", ENCODERS)
def test_windows_end_where_positions_end(arch):
    model, limit = model_of(arch), ENCODERS[arch][1]
    assert position_limit(model) == (limit or UNLIMITED)
    if limit is None:
        check_length(model, 100_000)
        return
    ids = torch.full((1, limit), 5)
    with torch.inference_mode():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    check_length(model, limit)
    with pytest.raises(StiltsError, match=f"max_length={limit + 1} is more than the {limit} tokens"):
        check_length(model, limit + 1)


def test_the_tokenizers_own_limit_counts_too():
    assert readable_length(tiny.encoder("bert"), tiny.tokenizer("bert")) == tiny.POSITIONS


def test_modules_can_be_named_and_are_checked(tmp_path):
    assert lora_config("lora=4:query,value").target_modules == {"query", "value"}
    with pytest.raises(StiltsError, match="no linear layer qkv; there are: dense, key, query, value"):
        choose_modules(tiny.encoder("bert"), lora_config("lora:qkv"))
    with pytest.raises(StiltsError, match="expected modules after the colon"):
        lora_config("lora:")


def test_a_configuration_that_pads_with_another_token_is_put_right(tmp_path, caplog):
    """As intfloat/multilingual-e5-small: token 0, `<s>`, was frozen under every classification head."""
    folder = tiny.save(tmp_path / "base", "bert", pad_token_id=2)  # 2 is [CLS]
    args = TrainingArguments(str(tmp_path / "run"), use_cpu=True, max_steps=2, learning_rate=1e-2, report_to=[])
    data = rows(PAIRS)
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        trainer = IntermediateTrainer(folder, args, task=PAIRS, train_dataset=data, eval_dataset=data)
    assert "pads with token 2, the tokenizer with 0" in caplog.text
    before = trainer.model.get_input_embeddings().weight[2].clone()
    trainer.train()
    trainer.save_model()
    assert not torch.equal(before, trainer.model.get_input_embeddings().weight[2]), "[CLS] is trained"
    assert AutoConfig.from_pretrained(tmp_path / "run").pad_token_id == 0
    right = AutoModelForSequenceClassification.from_pretrained(tiny.save(tmp_path / "right", "bert"))
    caplog.clear()
    match_padding(right, tiny.tokenizer("bert"))
    assert not caplog.records
