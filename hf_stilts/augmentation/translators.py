"""A translation model from the Hub as a function of texts: MarianMT, NLLB, M2M100, mBART-50, MADLAD, T5."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hf_stilts.data.mirror import digest
from hf_stilts.devices import default_device
from hf_stilts.errors import StiltsError, needs_extra
from hf_stilts.hub.checkpoints import check_name
from hf_stilts.languages import find_language, language_of, nllb_code

# A translation longer than this is a loop: no pair of languages differs as much in tokens of one vocabulary.
_LONGEST_RATIO, _LONGEST_MORE = 3, 32
_LANGUAGE_TOKEN = re.compile(r">>\w+<<|<2\w+>")


class ModelTranslator:
    """Translates with any `AutoModelForSeq2SeqLM`.

    How the languages are told to the model is read off its tokenizer: NLLB, M2M100 and mBART-50 have a token for each
    language, of which the target's is forced to begin the translation; multilingual MarianMT (`>>deu<<`) and MADLAD
    (`<2de>`) read the target's before the text. A model without such tokens is taken for one pair of languages.

    Args:
        model: repository id, or a folder.
        revision: commit, tag or branch of it.
        beams: of the search; 1 is greedy. Default 4, as OPUS-MT's own configurations have it.
        prefix: put before every text, for T5: `"translate English to German: "`.
        batch_tokens: most tokens that go through the model at a time, padding included, times beams.
        device: `cpu`, `cuda`, ... Default: the accelerator that torch has, else the CPU.

    Attributes:
        identity: model, commit and settings: all that decides a translation, for caches.

    Raises:
        OSError: no such model, or it cannot be reached.
        StiltsError: what its tokenizer needs is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        beams: int = 4,
        prefix: str = "",
        batch_tokens: int = 8192,
        device: str | None = None,
    ) -> None:
        commit = _commit(model, revision)
        known: dict[str, Any] = {} if Path(model).is_dir() else {"revision": commit}
        known["trust_remote_code"] = False
        self.device = torch.device(device or default_device())
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        with needs_extra("translate", f"The tokenizer of {model}"):
            self.tokenizer: Any = AutoTokenizer.from_pretrained(model, **known)
        self.model: Any = AutoModelForSeq2SeqLM.from_pretrained(model, dtype=dtype, **known).to(self.device).eval()
        # It would end, at the last token that is allowed, a translation that has no end; such a one is none.
        self.model.generation_config.forced_eos_token_id = None
        self.name, self.beams, self.prefix, self.batch_tokens = model, beams, prefix, batch_tokens
        self.positions = _positions(self.model.config)
        self.pair: tuple[str, str] | None = None
        settings = {"model": Path(model).name if Path(model).is_dir() else model, "commit": commit, "beams": beams}
        self.identity = json.dumps({**settings, "prefix": prefix, "dtype": str(dtype)}, ensure_ascii=False)

    def __call__(self, texts: Sequence[str], source: str, target: str) -> list[str | None]:
        """Translations of `texts` in their order; None where a text is too long for the model or does not end.

        Args:
            texts: sentences, rather than paragraphs.
            source: code of a language; read by models that want to be told.
            target: code of a language.

        Raises:
            StiltsError: the model does not know one of the languages.
        """
        before, options = self._told(source, target)
        encoded = [self.tokenizer(f"{before}{self.prefix}{text}").input_ids for text in texts]
        fits = [number for number, ids in enumerate(encoded) if len(ids) <= self.positions]
        found: list[str | None] = [None] * len(texts)
        for batch in self._batches(fits, [len(ids) for ids in encoded]):
            outputs = self._generate([encoded[number] for number in batch], options)
            for number, output in zip(batch, outputs, strict=True):
                found[number] = self._text(output, len(encoded[number]))
        return found

    def _batches(self, numbers: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
        """Texts of about one length together, the longest first, so that memory that is short is short at once."""
        batch: list[int] = []
        for number in sorted(numbers, key=lambda each: -lengths[each]):
            if batch and (len(batch) + 1) * lengths[batch[0]] * self.beams > self.batch_tokens:
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    @torch.inference_mode()
    def _generate(self, ids: Sequence[Sequence[int]], options: dict[str, Any]) -> list[list[int]]:
        inputs = self.tokenizer.pad({"input_ids": list(ids)}, return_tensors="pt").to(self.device)
        outputs = self.model.generate(
            input_ids=inputs.input_ids,
            attention_mask=inputs.attention_mask,
            num_beams=self.beams,
            do_sample=False,
            max_length=None,
            max_new_tokens=self._most(max(map(len, ids))),
            **options,
        )
        return outputs.tolist()

    def _text(self, output: list[int], source_length: int) -> str | None:
        """Text of one output; None if it has no end, or one that comes so late that it was going in circles."""
        ends = self.model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        end = next((place for place, token in enumerate(output[1:], 1) if token in ends), None)
        if end is None or end > self._most(source_length):
            return None
        text = self.tokenizer.decode(output[:end], skip_special_tokens=True).strip()
        return text or None

    def _most(self, source_tokens: int) -> int:
        """Tokens after which a translation is going in circles, or has no positions left."""
        return min(_LONGEST_RATIO * source_tokens + _LONGEST_MORE, self.positions - 1)

    def _told(self, source: str, target: str) -> tuple[str, dict[str, Any]]:
        """What to put before each text, and options of the generation, so that the model knows the languages."""
        for code in (source, target):
            if find_language(code) is None:
                raise StiltsError(
                    f"{code!r} is a made-up language, which {self.name} cannot be told. Choose another one (--from, "
                    "--to), or hand a translator of your own to hf_stilts.augmentation.translate.translate."
                )
        vocabulary = self.tokenizer.get_vocab()
        for scheme in (nllb_code, _m2m_code, _mbart_code(vocabulary)):
            if hasattr(self.tokenizer, "src_lang") and scheme(target) in vocabulary:
                self._known(source, scheme(source) in vocabulary)
                self.tokenizer.src_lang = scheme(source).strip("_") if scheme is _m2m_code else scheme(source)
                return "", {"forced_bos_token_id": vocabulary[scheme(target)]}
        iso3 = language_of(target).iso3
        for token in (f">>{iso3}<<", f">>{target}<<", f"<2{target}>"):
            if token in vocabulary:
                return f"{token} ", {}
        self._known(target, not any(_LANGUAGE_TOKEN.fullmatch(token) for token in vocabulary))
        if self.pair not in (None, (source, target)) and not self.prefix:
            raise StiltsError(
                f"{self.name} has no tokens for languages, so it translates one pair, here "
                f"{' to '.join(self.pair or ())}. For {source} to {target} run the command again, with another model."
            )
        self.pair = (source, target)
        return "", {}

    def _known(self, language: str, known: bool) -> None:
        if not known:
            raise StiltsError(
                f"{self.name} does not know {language_of(language).name} ({language}): its vocabulary has no token for "
                "it. Name a model that does, such as facebook/nllb-200-distilled-600M."
            )


def _commit(model: str, revision: str | None) -> str:
    """Commit that a name stands for now; of a folder, a digest of its files."""
    folder = Path(model)
    if folder.is_dir():
        return f"folder:{digest(folder, [path for path in folder.iterdir() if path.is_file()])}"
    check_name(model)
    return Path(hf_hub_download(model, "config.json", revision=revision)).parent.name


def _positions(config: Any) -> int:
    """Most tokens that encoder and decoder have positions for; no bound where these are relative (T5)."""
    found = None if hasattr(config, "relative_attention_num_buckets") else getattr(config, "max_position_embeddings", 0)
    return found or sys.maxsize


def _m2m_code(code: str) -> str:
    return f"__{code}__"


def _mbart_code(vocabulary: dict[str, int]) -> Any:
    """Scheme of mBART-50: `de_DE`, whatever the country."""
    codes = {token[:2]: token for token in vocabulary if len(token) == 5 and token[2] == "_" and token[3:].isupper()}
    return lambda code: codes.get(code, "")
