"""Tiny random encoders and tokenizers, built from a configuration: what tests train instead of a downloaded model.

`tiny.encoder("mt5")`, `tiny.tokenizer("mt5")`, `tiny.save(folder, "mt5")`; equal seeds give equal weights.
"""

from __future__ import annotations

import atexit
import json
import shutil
import string
import tempfile
from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoConfig,
    AutoModel,
    BertTokenizer,
    PreTrainedTokenizerBase,
    RemBertTokenizer,
    RobertaTokenizer,
    T5Tokenizer,
    XLMTokenizer,
)
from transformers import XLMRobertaTokenizer as UnigramTokenizer

ARCHITECTURES = ("xlm-roberta", "bert", "distilbert", "roberta", "deberta-v2", "mt5")
MULTILINGUAL = (  # as they are used
    "xlm-roberta", "bert", "xlm", "rembert", "deberta-v2", "modernbert", "eurobert", "mt5", "umt5", "t5gemma",
)  # fmt: skip
POSITIONS = 512

_WORDS = """the a of and to in is was on that he she it who what where when which did does not are were by with for
from cat dog house city river book teacher doctor sings reads walks green old small big red one two three because
effect cause der die das und ist nicht ein Haus Stadt le la les et est une maison ville el los casa ciudad""".split()
# Every character below is a token of its own, so that any cut between characters is a cut between tokens.
_CHARACTERS = (
    string.ascii_letters
    + string.digits
    + string.punctuation
    + "".join(map(chr, range(0xA1, 0x180)))  # Latin
    + "".join(map(chr, range(0x300, 0x310)))  # combining marks
    + "".join(map(chr, range(0x391, 0x3CA)))  # Greek
    + "".join(map(chr, range(0x410, 0x450)))  # Cyrillic
    + "".join(map(chr, range(0x5D0, 0x5EB)))  # Hebrew
    + "".join(map(chr, range(0x621, 0x653)))  # Arabic and its vowel marks
    + "".join(map(chr, range(0x901, 0x950)))  # Devanagari
    + "".join(map(chr, range(0xE01, 0xE3B)))  # Thai
    + "".join(map(chr, range(0x3041, 0x30FB)))  # kana
    + "的一是不了人我在有他这中大来上国个到说们北京猫狗书"
    + "가나다라마바사아자차카타파하한국어"
    + "😀🐱🌍👍🏽\u200d👩"
)  # fmt: skip
_PIECES = [f"▁{word}" for word in dict.fromkeys(_WORDS)] + ["▁"] + list(dict.fromkeys(_CHARACTERS))


def tokenizer(arch: str = "xlm-roberta") -> PreTrainedTokenizerBase:
    """Fast tokenizer of that architecture's own make (Unigram, WordPiece or bytes), small and multilingual."""
    scored = [(piece, -5.0 if len(piece) > 1 else -10.0) for piece in _PIECES]
    if arch == "xlm-roberta":
        special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
        return UnigramTokenizer(vocab=[*special, *scored, ("<mask>", 0.0)], model_max_length=POSITIONS)
    if arch == "rembert":
        special = [(token, 0.0) for token in ("<pad>", "[CLS]", "[SEP]", "<unk>")]
        return RemBertTokenizer(vocab=[*special, *scored, ("[MASK]", 0.0)], model_max_length=POSITIONS)
    if arch == "xlm":
        return _xlm_tokenizer()
    if arch in ("mt5", "umt5", "t5gemma"):
        special = [(token, 0.0) for token in ("<pad>", "</s>", "<unk>")]
        return T5Tokenizer(vocab=[*special, *scored], extra_ids=0, model_max_length=POSITIONS)
    if arch == "roberta":
        letters = sorted(ByteLevel.alphabet())
        tokens = ["<s>", "<pad>", "</s>", "<unk>", *letters, "Ġt", "he", "Ġthe", "Ġa", "<mask>"]
        merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("Ġ", "a")]
        return RobertaTokenizer(
            vocab={token: index for index, token in enumerate(tokens)}, merges=merges, model_max_length=POSITIONS
        )
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(_WORDS)]
    tokens += [token for character in dict.fromkeys(_CHARACTERS) for token in (character, f"##{character}")]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    built = BertTokenizer(vocab=vocab, do_lower_case=False, strip_accents=False, model_max_length=POSITIONS)
    if arch in ("distilbert", "modernbert", "eurobert"):
        built.model_input_names = ["input_ids", "attention_mask"]
    return built


def _xlm_tokenizer() -> XLMTokenizer:
    """XLM's own: Moses' rules, then pairs of characters, in Python; it does not know where in a text a token stands."""
    special = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{number}>" for number in range(10))]
    tokens = [*special, *(f"{letter}</w>" for letter in _CHARACTERS), *_CHARACTERS, "the</w>", "th"]
    with tempfile.TemporaryDirectory() as folder:
        vocab, merges = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocab.write_text(json.dumps({token: place for place, token in enumerate(dict.fromkeys(tokens))}))
        merges.write_text("t h 2\nth e</w> 1\n")
        return XLMTokenizer(str(vocab), str(merges), model_max_length=POSITIONS)


def config(arch: str = "xlm-roberta", **overrides):
    """Two layers, 32 wide, two heads, no dropout; the vocabulary of `tokenizer(arch)`."""
    built = tokenizer(arch)
    size = {"vocab_size": len(built), "pad_token_id": built.pad_token_id}
    if arch in ("mt5", "umt5"):
        shape = dict(
            d_model=32, d_ff=48, d_kv=16, num_layers=2, num_decoder_layers=2, num_heads=2, dropout_rate=0.0,
            eos_token_id=built.eos_token_id, decoder_start_token_id=built.pad_token_id,
        )  # fmt: skip
    elif arch == "t5gemma":
        half = dict(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
            head_dim=16, query_pre_attn_scalar=16, sliding_window=64, max_position_embeddings=POSITIONS,
            eos_token_id=built.eos_token_id, bos_token_id=built.pad_token_id, dropout_rate=0.0, **size,
        )  # fmt: skip
        shape = dict(encoder=dict(half), decoder=dict(half), dropout_rate=0.0, classifier_dropout_rate=0.0)
    elif arch == "xlm":
        size = dict(vocab_size=len(built), pad_index=built.pad_token_id, mask_token_id=built.mask_token_id)
        size |= dict(pad_token_id=built.pad_token_id, mask_index=built.mask_token_id, unk_index=built.unk_token_id)
        shape = dict(emb_dim=32, n_layers=2, n_heads=2, max_position_embeddings=POSITIONS, n_langs=1)
        shape |= dict(dropout=0.0, attention_dropout=0.0, summary_first_dropout=0.0)
    elif arch == "distilbert":
        shape = dict(dim=32, hidden_dim=48, n_layers=2, n_heads=2, max_position_embeddings=POSITIONS)
        shape |= dict(dropout=0.0, attention_dropout=0.0, qa_dropout=0.0, seq_classif_dropout=0.0)
    else:
        shape = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2)
        shape |= dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        # The RoBERTa family counts positions from pad_token_id + 1.
        shape |= dict(max_position_embeddings=POSITIONS + 2 if "roberta" in arch else POSITIONS)
        shape |= dict(bos_token_id=built.bos_token_id, eos_token_id=built.eos_token_id)
        if arch == "rembert":
            shape |= dict(input_embedding_size=16, output_embedding_size=24, classifier_dropout_prob=0.0)
        if arch in ("modernbert", "eurobert"):
            for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
                del shape[name]
        if arch == "eurobert":
            shape |= dict(num_key_value_heads=2, head_dim=16, mask_token_id=built.mask_token_id)
            shape |= dict(bos_token_id=built.cls_token_id, eos_token_id=built.sep_token_id)
        if arch == "modernbert":
            shape |= dict(cls_token_id=built.cls_token_id, sep_token_id=built.sep_token_id, local_attention=8)
    return AutoConfig.for_model(arch, **{**size, **shape, **overrides})


def encoder(arch: str = "xlm-roberta", seed: int = 0, **overrides):
    """Bare `AutoModel` (for mT5 with its decoder, as stock `AutoModel` has it), in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModel.from_config(config(arch, **overrides)).eval()


def with_head(model_class, arch: str = "xlm-roberta", seed: int = 0, **overrides):
    """Random model of a class, stock or Auto: `with_head(AutoModelForTokenClassification, "bert", num_labels=3)`."""
    settings = config(arch, **overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = model_class.from_config(settings) if hasattr(model_class, "from_config") else model_class(settings)
        return built.eval()


_SAVED: dict[str, Path] = {}


def save(folder: Path, arch: str = "xlm-roberta", seed: int = 0, model_class=AutoModel, **overrides) -> str:
    """Model and tokenizer written as `from_pretrained` reads them; the folder's name comes back.

    Equal arguments give equal files: they are written once in a process, and copied from then on.
    """
    wanted = repr((arch, seed, model_class, sorted(overrides.items())))
    if wanted not in _SAVED:
        first = Path(tempfile.mkdtemp(prefix="hf_stilts_tiny_"))
        atexit.register(shutil.rmtree, first, ignore_errors=True)
        with_head(model_class, arch, seed, **overrides).save_pretrained(first)
        tokenizer(arch).save_pretrained(first)
        _SAVED[wanted] = first
    Path(folder).mkdir(parents=True, exist_ok=True)
    for file in _SAVED[wanted].iterdir():
        target = Path(folder) / file.name
        target.unlink(missing_ok=True)  # a model that was loaded from an earlier one reads on in its file
        shutil.copyfile(file, target)
    return str(folder)
