"""Tiny random translation models with tokenizers of the real classes: MarianMT (one pair, or told by a token), NLLB."""

import json
import re
from pathlib import Path

import sentencepiece
import torch
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    NllbTokenizer,
)

WORDS = "the a cat dog house sees red small old die eine Katze Hund Haus sieht rote kleine alte . ,".split()
SHAPE = dict(
    d_model=64,
    scale_embedding=True,
    init_std=0.1,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
)
SHAPE |= dict(encoder_ffn_dim=128, decoder_ffn_dim=128, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0)
SHAPE |= dict(max_position_embeddings=64)


def save(folder: Path, kind: str, seed: int = 0) -> str:
    """Write `marian`, `marian-mul` (with `>>deu<<` and `>>swh<<`) or `nllb`; the folder's name comes back."""
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        (_nllb if kind == "nllb" else _marian)(folder, multilingual=kind == "marian-mul")
    return str(folder)


def _marian(folder: Path, multilingual: bool) -> None:
    text = folder / "text.txt"
    text.write_text("\n".join(" ".join(WORDS[n:] + WORDS[:n]) for n in range(len(WORDS))))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "source"), vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    text.unlink()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.model"))
    tokens = ["</s>", "<unk>", *(pieces.id_to_piece(n) for n in range(len(pieces)) if n > 2)]
    tokens += [">>deu<<", ">>swh<<"] if multilingual else []
    tokens.append("<pad>")
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    model = folder / "source.model"
    (folder / "source.spm").write_bytes(model.read_bytes())
    (folder / "target.spm").write_bytes(model.read_bytes())
    for rest in ("source.model", "source.vocab"):
        (folder / rest).unlink()
    MarianTokenizer(
        source_spm=str(folder / "source.spm"), target_spm=str(folder / "target.spm"), vocab=str(folder / "vocab.json"),
    ).save_pretrained(folder)  # fmt: skip
    pad = tokens.index("<pad>")
    config = MarianConfig(
        vocab_size=len(tokens), pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0,
        **SHAPE,
    )  # fmt: skip
    MarianMTModel(config).save_pretrained(folder)


def _nllb(folder: Path, multilingual: bool) -> None:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = sorted({letter for word in WORDS for letter in word} | {"▁"})
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[], src_lang="eng_Latn")
    tokenizer.save_pretrained(folder)
    config = M2M100Config(
        vocab_size=len(tokenizer), pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, **SHAPE
    )
    M2M100ForConditionalGeneration(config).save_pretrained(folder)


GERMAN = {
    "the": "die", "a": "eine", "cat": "Katze", "dog": "Hund", "sat": "saß", "on": "auf", "mat": "Matte", "no": "kein",
    "yes": "ja", "what": "was", "is": "ist", "there": "da", "who": "wer", "where": "wo", "hello": "hallo",
}  # fmt: skip


class Words:
    """Translates word by word, keeps what it does not know, and counts what it was asked for."""

    def __init__(self, identity="words", exceptions=None, fails_after=None):
        self.identity, self.exceptions = identity, exceptions or {}
        self.asked, self.fails_after = [], fails_after

    def __call__(self, texts, source, target):
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            raise KeyboardInterrupt
        self.asked += texts
        return [self.one(text) for text in texts]

    def one(self, text):
        if text in self.exceptions:
            return self.exceptions[text]
        words = re.sub(r"\w+", lambda match: GERMAN.get(match[0].lower(), match[0]), text)
        return words[:1].upper() + words[1:]
