"""Tokenizers of many designs, each built for some texts: every character, or byte, is a token, and no pair of letters.

So an answer may begin and end wherever a letter does, and whatever an answer loses, the offsets have lost.
"""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

_SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
_LLAMA = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+")
_INVISIBLE = Regex(r"[\u200b-\u200f]")


def build(design: str, texts: list[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of that design, one of `DESIGNS`."""
    make, settings = DESIGNS[design]
    return make(texts, **settings)


def _finished(model, normalizer, pre_tokenizer, *processing) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    pair = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.post_processor = processors.Sequence([*processing, pair])
    names = dict(pad_token="<pad>", cls_token="<s>", bos_token="<s>", sep_token="</s>", eos_token="</s>")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **names)


def _characters(texts, normalizer) -> list[str]:
    seen = set()
    for text in texts:
        seen.update(text if normalizer is None else normalizer.normalize_str(text))
    return sorted(seen)


def _numbered(tokens) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys([*_SPECIAL, *tokens]))}


def _word_piece(texts, **bert):
    normalizer = normalizers.BertNormalizer(**bert)
    letters = _characters(texts, normalizer)
    vocabulary = _numbered([*letters, *(f"##{letter}" for letter in letters)])
    model = models.WordPiece(vocabulary, unk_token="<unk>", max_input_chars_per_word=1000)
    return _finished(model, normalizer, pre_tokenizers.BertPreTokenizer())


def _byte_level(texts, before=(), normalizer=None, trim=True, prefix=True, regex=True):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [("Ġ", letter) for letter in letters if letter.isalnum()]  # a word's first byte and the blank are one token
    vocabulary = _numbered([*letters, *("".join(pair) for pair in pairs)])
    parts = [*before, pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)]
    processing = processors.ByteLevel(trim_offsets=trim)
    return _finished(models.BPE(vocabulary, pairs), normalizer, pre_tokenizers.Sequence(parts), processing)


def _unigram(texts, normalizer, before=()):
    letters = [letter for letter in _characters([*texts, "▁"], normalizer) if letter != " "]
    scored = [(token, 0.0) for token in _SPECIAL] + [(letter, -5.0) for letter in letters]
    scored += [(f"▁{letter}", -6.0) for letter in letters if letter.isalpha()]
    model = models.Unigram(scored, unk_id=_SPECIAL.index("<unk>"))
    return _finished(model, normalizer, pre_tokenizers.Sequence([*before, pre_tokenizers.Metaspace()]))


def _letters(texts, before, dropped=""):
    vocabulary = _numbered(letter for letter in _characters(texts, None) if letter not in dropped)
    return _finished(models.BPE(vocabulary, []), None, pre_tokenizers.Sequence(before))


_WORDS = [pre_tokenizers.Whitespace()]
DESIGNS = {
    "WordPiece, cased": (_word_piece, dict(lowercase=False, strip_accents=False)),
    "WordPiece, uncased, accents stripped": (_word_piece, dict(lowercase=True, strip_accents=True)),
    "bytes": (_byte_level, dict(prefix=False)),
    "bytes, blank before the text": (_byte_level, {}),
    "bytes, offsets with blanks": (_byte_level, dict(trim=False)),
    "bytes, blank before every word": (_byte_level, dict(before=_WORDS)),
    "bytes, blank before every digit": (_byte_level, dict(before=[*_WORDS, pre_tokenizers.Digits(True)])),
    "bytes, blank before every part": (
        _byte_level,
        dict(before=[pre_tokenizers.Split(_LLAMA, "isolated")], regex=False),
    ),
    "bytes, NFKC": (_byte_level, dict(normalizer=normalizers.NFKC())),
    "bytes, NFD, blank before every word": (_byte_level, dict(before=_WORDS, normalizer=normalizers.NFD())),
    "Unigram, NFKC": (_unigram, dict(normalizer=normalizers.NFKC())),
    "Unigram, NFKC, words": (
        _unigram,
        dict(normalizer=normalizers.NFKC(), before=[pre_tokenizers.WhitespaceSplit()]),
    ),
    "Unigram, NFD": (_unigram, dict(normalizer=normalizers.NFD())),
    "Unigram, accents stripped": (
        _unigram,
        dict(
            normalizer=normalizers.Sequence(
                [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()],
            )
        ),
    ),
    "Unigram as SentencePiece": (
        _unigram,
        dict(
            normalizer=normalizers.Sequence(
                [
                    normalizers.Replace(_INVISIBLE, " "),
                    normalizers.NFKC(),
                    normalizers.Replace(Regex(" {2,}"), " "),
                ]
            )
        ),
    ),
    "letters, Han one by one": (
        _letters,
        dict(before=[pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"), *_WORDS, pre_tokenizers.Digits(True)]),
    ),
    "letters, unknown ones dropped": (_letters, dict(before=_WORDS, dropped="éüöíτ京")),
}
