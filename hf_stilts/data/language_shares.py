"""Languages of training rows, and their shares, as a user writes them. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TypeAlias

from hf_stilts.errors import StiltsError

Languages: TypeAlias = str | Sequence[str] | Mapping[str, float]


def shares(languages: Languages) -> dict[str, Fraction]:
    """Exact share of each language.

    Args:
        languages: `"de"`; `"en,sw"` or `["en", "sw"]`, in equal parts; `"en=0.75,sw=0.25"` or a mapping. Decimal
            numbers are taken as they are written, so 0.1 is a tenth.

    >>> shares("en=0.75, sw=0.25")
    {'en': Fraction(3, 4), 'sw': Fraction(1, 4)}
    >>> shares(["de", "ru", "sw"])["ru"]
    Fraction(1, 3)

    Raises:
        StiltsError: a share is no number or negative, a language is there twice, or the shares do not sum to 1.
    """
    named = languages.split(",") if isinstance(languages, str) else languages
    pairs: list[tuple[str, str]] = []
    if isinstance(named, Mapping):
        pairs += [(language, str(share)) for language, share in named.items()]
    else:
        for each in named:
            language, _, share = each.partition("=")
            pairs.append((language.strip(), share.strip()))
    if not pairs or len({language for language, _ in pairs}) != len(pairs) or not all(name for name, _ in pairs):
        raise _not_understood(languages, "every language once")
    if not any(share for _, share in pairs):
        return {language: Fraction(1, len(pairs)) for language, _ in pairs}
    try:
        found = {language: Fraction(share) for language, share in pairs}
    except (ValueError, ZeroDivisionError) as error:
        raise _not_understood(languages, "a share for each or for none") from error
    # Three thirds, written as decimals, are as good as 1.
    total = sum(found.values(), Fraction(0))
    if min(found.values()) < 0 or abs(total - 1) > Fraction(1, 1000):
        raise _not_understood(languages, f"shares of 0 or more that sum to 1, not to {float(total):g}")
    return {language: share / total for language, share in found.items()}


def language_codes(languages: Languages | None, every: Sequence[str]) -> list[str]:
    """Languages of training rows, one by one.

    Args:
        languages: as `shares` takes them, or `"all"`; None: English.
        every: what `"all"` stands for.

    >>> language_codes("en=0.5, de-t-en=0.5", []), language_codes("all", ["en", "sw"])
    (['en', 'de-t-en'], ['en', 'sw'])
    """
    if languages is None:
        return ["en"]
    if languages == "all":
        return list(every)
    if isinstance(languages, str):
        return [each.partition("=")[0].strip() for each in languages.split(",")]
    return list(languages)


def spelt_languages(languages: Languages | None, every: Sequence[str]) -> str | None:
    """Languages as a training takes them; None for English alone, which it does anyway.

    Args:
        languages: as for `language_codes`.
        every: as for `language_codes`.

    >>> spelt_languages({"en": 0.5, "sw": 0.5}, []), spelt_languages("en", [])
    ('en=0.5,sw=0.5', None)
    """
    if isinstance(languages, Mapping):
        return ",".join(f"{code}={share}" for code, share in languages.items())
    codes = language_codes(languages, every)
    if codes == ["en"]:
        return None
    return languages if isinstance(languages, str) and languages != "all" else ",".join(codes)


def _not_understood(languages: Languages, expected: str) -> StiltsError:
    return StiltsError(f"languages={languages!r}: expected {expected}. Type for example: --languages en=0.5,sw=0.5")
