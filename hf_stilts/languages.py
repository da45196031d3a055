"""Languages: names, families, scripts and resource classes of all that have an ISO 639 code, and the 50 of XTREME-R.

A code is two letters of ISO 639-1 or three of ISO 639-3, as BCP 47 has them (`de`, `ha`, `quy`), and where a language
is written in another script than its main one, that script behind an underscore (`zh_Hant`); `deu_Latn` is as good as
`de`. A hyphen is none of a code: it marks rows that were derived from others (`hi-Latn`, `de-t-en`).

`languages.tsv` and `scripts.tsv` are written by `tools/languages.py`. Codes are of IANA's Language Subtag Registry,
English names and likely scripts of CLDR (copyright 1991-2024 Unicode, Inc., Unicode License V3), families of
Glottolog 5.1 (Hammarström et al. 2024, CC BY 4.0), resource classes of Joshi et al. 2020.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hf_stilts.errors import StiltsError, nearest

# ISO 639-2 reserves qaa to qtz for local use: a made-up language has such a code and claims to be nobody's.
LOCAL_USE = re.compile("q[a-t][a-z]")
CODE_PATTERN = "[a-z]{2,3}(?:_[A-Z][a-z]{3})?"
_CODE = re.compile("([a-z]{2,3})(?:_([A-Z][a-z]{3}))?")


class Language(NamedTuple):
    """One language, as the benchmarks name it.

    Attributes:
        iso3: three-letter code; of the 50, as in Tatoeba's file names (`cmn`, `pes`, `swh`).
        name: English name; of the 50, as in the Hub's `udpos` configurations.
        family: language family, `IE:` for the branches of Indo-European; empty where it is not known.
        script: main script of its Wikipedia, or the one that its code names; empty where it is not known.
        joshi: resource class 0 (left behind) to 5 (winner) of Joshi et al. 2020; None where it is not known.
        cc100_mb: compressed size of its CC-100 file in megabytes, from the corpus' download listing; None where it is
            not known.
        xtreme: one of the 40 of XTREME; the other ten of the 50 came with XTREME-R.
        script_code: ISO 15924 code of `script`; of the 50, in `SCRIPT_CODES`.
        flores: three-letter code in FLORES-200, where that is another one than `iso3`.
    """

    iso3: str
    name: str
    family: str
    script: str
    joshi: int | None = None
    cc100_mb: float | None = None
    xtreme: bool = False
    script_code: str = ""
    flores: str = ""


LANGUAGES: dict[str, Language] = {
    "af": Language("afr", "Afrikaans", "IE:Germanic", "Latin", 3, 305, True),
    "ar": Language("ara", "Arabic", "Afro-Asiatic", "Arabic", 5, 5400, True),
    "az": Language("aze", "Azerbaijani", "Turkic", "Latin", 1, 1300, False),
    "bg": Language("bul", "Bulgarian", "IE:Slavic", "Cyrillic", 3, 9300, True),
    "bn": Language("ben", "Bengali", "IE:Indo-Aryan", "Bengali", 3, 860, True),
    "de": Language("deu", "German", "IE:Germanic", "Latin", 5, 18000, True),
    "el": Language("ell", "Greek", "IE:Greek", "Greek", 3, 7400, True),
    "en": Language("eng", "English", "IE:Germanic", "Latin", 5, 82000, True),
    "es": Language("spa", "Spanish", "IE:Romance", "Latin", 5, 14000, True),
    "et": Language("est", "Estonian", "Uralic", "Latin", 3, 1700, True),
    "eu": Language("eus", "Basque", "isolate", "Latin", 4, 488, True),
    "fa": Language("pes", "Persian", "IE:Iranian", "Perso-Arabic", 4, 20000, True),
    "fi": Language("fin", "Finnish", "Uralic", "Latin", 4, 15000, True),
    "fr": Language("fra", "French", "IE:Romance", "Latin", 5, 14000, True),
    "gu": Language("guj", "Gujarati", "IE:Indo-Aryan", "Gujarati", 1, 242, False),
    "he": Language("heb", "Hebrew", "Afro-Asiatic", "Hebrew", 3, 6100, True),
    "hi": Language("hin", "Hindi", "IE:Indo-Aryan", "Devanagari", 4, 2500, True),
    "ht": Language("hat", "Haitian Creole", "Creole", "Latin", 2, 9.1, False),
    "hu": Language("hun", "Hungarian", "Uralic", "Latin", 4, 15000, True),
    "id": Language("ind", "Indonesian", "Austronesian", "Latin", 3, 36000, True),
    "it": Language("ita", "Italian", "IE:Romance", "Latin", 4, 7800, True),
    "ja": Language("jpn", "Japanese", "Japonic", "Ideograms+kana", 5, 15000, True),
    "jv": Language("jav", "Javanese", "Austronesian", "Latin", 1, 37, True),
    "ka": Language("kat", "Georgian", "Kartvelian", "Georgian", 3, 1100, True),
    "kk": Language("kaz", "Kazakh", "Turkic", "Cyrillic", 3, 889, True),
    "ko": Language("kor", "Korean", "isolate", "Hangul", 4, 14000, True),
    "lt": Language("lit", "Lithuanian", "IE:Baltic", "Latin", 3, 3400, False),
    "ml": Language("mal", "Malayalam", "Dravidian", "Malayalam", 1, 831, True),
    "mr": Language("mar", "Marathi", "IE:Indo-Aryan", "Devanagari", 2, 334, True),
    "ms": Language("zsm", "Malay", "Austronesian", "Latin", 3, 2100, True),
    "my": Language("mya", "Burmese", "Sino-Tibetan", "Burmese", 1, 46, True),
    "nl": Language("nld", "Dutch", "IE:Germanic", "Latin", 4, 7900, True),
    "pa": Language("pan", "Punjabi", "IE:Indo-Aryan", "Gurmukhi", 2, 90, False),
    "pl": Language("pol", "Polish", "IE:Slavic", "Latin", 4, 12000, False),
    "pt": Language("por", "Portuguese", "IE:Romance", "Latin", 4, 13000, True),
    "qu": Language("que", "Quechua", "Quechuan", "Latin", 1, 1.5, False),
    "ro": Language("ron", "Romanian", "IE:Romance", "Latin", 3, 16000, False),
    "ru": Language("rus", "Russian", "IE:Slavic", "Cyrillic", 4, 46000, True),
    "sw": Language("swh", "Swahili", "Niger-Congo", "Latin", 2, 332, True),
    "ta": Language("tam", "Tamil", "Dravidian", "Tamil", 3, 1300, True),
    "te": Language("tel", "Telugu", "Dravidian", "Telugu", 1, 536, True),
    "th": Language("tha", "Thai", "Kra-Dai", "Thai", 3, 8700, True),
    "tl": Language("tgl", "Tagalog", "Austronesian", "Latin", 3, 701, True),
    "tr": Language("tur", "Turkish", "Turkic", "Latin", 4, 5400, True),
    "uk": Language("ukr", "Ukrainian", "IE:Slavic", "Cyrillic", 3, 14000, False),
    "ur": Language("urd", "Urdu", "IE:Indo-Aryan", "Perso-Arabic", 3, 884, True),
    "vi": Language("vie", "Vietnamese", "Austro-Asiatic", "Latin", 4, 28000, True),
    "wo": Language("wol", "Wolof", "Niger-Congo", "Latin", 2, 3.6, False),
    "yo": Language("yor", "Yoruba", "Niger-Congo", "Latin", 2, 1.1, True),
    "zh": Language("cmn", "Chinese", "Sino-Tibetan", "Han", 5, 14000, True),
}

# What languages that are not written in Latin letters call themselves, in their own script.
NATIVE_NAMES: dict[str, str] = {
    "ar": "العربية", "bg": "български", "bn": "বাংলা", "el": "ελληνικά", "fa": "فارسی", "gu": "ગુજરાતી", "he": "עברית",
    "hi": "हिन्दी", "ja": "日本語", "ka": "ქართული", "kk": "қазақша", "ko": "한국어", "ml": "മലയാളം", "mr": "मराठी",
    "my": "မြန်မာ", "pa": "ਪੰਜਾਬੀ", "ru": "русский", "ta": "தமிழ்", "te": "తెలుగు", "th": "ไทย", "uk": "українська",
    "ur": "اردو", "zh": "中文",
}  # fmt: skip

# ISO 15924 codes of the scripts above, as language tags (`hi-Latn`) and NLLB's codes (`hin_Deva`) spell them.
SCRIPT_CODES: dict[str, str] = {
    "Arabic": "Arab", "Bengali": "Beng", "Burmese": "Mymr", "Cyrillic": "Cyrl", "Devanagari": "Deva",
    "Georgian": "Geor", "Greek": "Grek", "Gujarati": "Gujr", "Gurmukhi": "Guru", "Han": "Hans", "Hangul": "Hang",
    "Hebrew": "Hebr", "Ideograms+kana": "Jpan", "Latin": "Latn", "Malayalam": "Mlym", "Perso-Arabic": "Arab",
    "Tamil": "Taml", "Telugu": "Telu", "Thai": "Thai",
}  # fmt: skip
# FLORES-200 names an individual language where Tatoeba names the macrolanguage, and Chinese the other way round.
_FLORES = {"ar": "arb", "az": "azj", "qu": "quy", "zh": "zho"}


def find_language(code: str) -> Language | None:
    """What is known of a language; None where the code is none, or is reserved for made-up languages.

    >>> find_language("sv").name, find_language("hau").family, find_language("zho_Hant").script
    ('Swedish', 'Afro-Asiatic', 'Han (Traditional variant)')
    """
    match = _CODE.fullmatch(code)
    known = _known(match[1]) if match else None
    if match is None or known is None:
        return None
    script = match[2] or known.script_code
    if script == known.script_code:
        return known
    return known._replace(script=_scripts()[script], script_code=script) if script in _scripts() else None


def code_of(code: str) -> str | None:
    """The shortest code of a language, in which results are compared; None where there is no such language.

    >>> [code_of(code) for code in ("deu", "hau_Latn", "zho_Hant", "quy", "xxx")]
    ['de', 'ha', 'zh_Hant', 'quy', None]
    """
    known = find_language(code)
    if known is None:
        return None
    language, _, script = code.partition("_")
    short = _shortest().get(language, language)
    own = _known(short)
    return f"{short}_{script}" if script and own and own.script_code != script else short


def hub_codes(codes: Iterable[str]) -> list[str]:
    """Codes as the Hub's cards have them, each once in their order: of the language alone, without the script.

    >>> hub_codes(["zh", "zh_Hant", "ha"])
    ['zh', 'ha']
    """
    return list(dict.fromkeys(code.partition("_")[0] for code in codes))


def language_of(code: str) -> Language:
    """What is known of a language.

    Raises:
        StiltsError: the code is none, or is reserved for made-up languages; the message has the nearest ones.
    """
    known = find_language(code)
    if known is None:
        raise StiltsError(
            f"{code!r} is no language; expected a code of ISO 639, and behind an underscore the script where it is not "
            f"the main one: ca, hau, zh_Hant. {did_you_mean_language(code)}"
        )
    return known


def is_language(code: str) -> bool:
    """Whether a code is that of a language, or one of those that made-up languages have.

    >>> [is_language(code) for code in ("ca", "deu_Latn", "qaa", "xx", "de_Xxxx", "hi-Latn")]
    [True, True, True, False, False, False]
    """
    return LOCAL_USE.fullmatch(code) is not None or find_language(code) is not None


def did_you_mean_language(code: str) -> str:
    """The end of an error message: the language of which this is the name, or the codes that are spelt like this.

    >>> did_you_mean_language("Hausa"), did_you_mean_language("zh-Hant"), did_you_mean_language("deu_Latin")
    ('Did you mean ha (Hausa)?', 'Did you mean zh_Hant?', 'Did you mean deu_Latn?')
    """
    with_underscore = code.replace("-", "_")
    if with_underscore != code and is_language(with_underscore):
        return f"Did you mean {with_underscore}?"
    language, _, script = with_underscore.partition("_")
    if script and _known(language):  # a script that is misspelt, or a region
        return f"Did you mean {'_'.join([language, *nearest(script.title(), _scripts(), cutoff=0.7)])}?"
    names = {known.name.casefold(): each for each, known in _every().items()}
    alike = nearest(code.casefold(), names, cutoff=0.8)
    if alike and len(code) > 3:
        found = names[alike[0]]
        return f"Did you mean {found} ({_every()[found].name})?"
    near = nearest(code.lower(), LANGUAGES, 3) or nearest(code.lower(), _every(), 3)
    return f"Did you mean {' or '.join(near)}?" if near else "All codes: https://iso639-3.sil.org/code_tables/639/data"


def nllb_code(code: str) -> str:
    """Code of a language in FLORES-200 and in NLLB's tokenizers: ISO 639-3 and the script.

    >>> [nllb_code(code) for code in ("de", "ar", "zh", "fa", "ha", "ne", "zh_Hant")]
    ['deu_Latn', 'arb_Arab', 'zho_Hans', 'pes_Arab', 'hau_Latn', 'npi_Deva', 'zho_Hant']

    Raises:
        StiltsError: the code is none, or no table knows the language's script.
    """
    known = language_of(code)
    if not known.script_code:
        raise StiltsError(
            f"The script of {known.name} ({code}) is in no table here; expected it in the code. Write for example "
            f"{code}_Latn"
        )
    return f"{known.flores or known.iso3}_{known.script_code}"


def _known(code: str) -> Language | None:
    """A language by its two or three letters; the tables are read for those alone that are not among the 50."""
    if code in LANGUAGES:
        known = LANGUAGES[code]
        return known._replace(script_code=SCRIPT_CODES[known.script], flores=_FLORES.get(code, ""))
    return _every().get(_shortest().get(code, code))


@cache
def _every() -> dict[str, Language]:
    """Code -> language, of all; those of the 50 are as the benchmarks name them."""
    found = {code: known for code in LANGUAGES if (known := _known(code))}
    scripts = _scripts()
    for line in _lines("languages.tsv"):
        code, iso3, flores, name, family, script, joshi = line.split("\t")
        if code not in LANGUAGES:
            own = int(joshi) if joshi else None
            found[code] = Language(iso3, name, family, scripts.get(script, ""), own, None, False, script, flores)
    return found


@cache
def _shortest() -> dict[str, str]:
    """Three-letter code -> the code of two letters that stands for the same language."""
    found = {known.iso3: code for code, known in LANGUAGES.items()}
    for line in _lines("languages.tsv"):
        code, iso3, *_ = line.split("\t")
        if code != iso3:
            found[iso3] = code
    return found


@cache
def _scripts() -> dict[str, str]:
    """ISO 15924 code -> English name of a script."""
    found = {}
    for line in _lines("scripts.tsv"):
        code, name = line.split("\t")
        found[code] = name
    return found


def _lines(table: str) -> list[str]:
    return (Path(__file__).parent / table).read_text(encoding="utf-8").removesuffix("\n").split("\n")
