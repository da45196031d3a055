"""The 50 languages of XTREME-R: codes, family, script, and how much data there is of each."""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    """One language, as the benchmarks name it.

    Attributes:
        iso3: three-letter code as in Tatoeba's file names (`cmn`, `pes`, `swh`).
        name: English name as in the Hub's `udpos` configurations.
        family: language family, `IE:` for the branches of Indo-European.
        script: main script of its Wikipedia.
        joshi: resource class 0 (left behind) to 5 (winner) of Joshi et al. 2020.
        cc100_mb: compressed size of its CC-100 file in megabytes, from the corpus' download listing.
        xtreme: one of the 40 of XTREME; the other ten came with XTREME-R.
    """

    iso3: str
    name: str
    family: str
    script: str
    joshi: int
    cc100_mb: float
    xtreme: bool


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


def nllb_code(code: str) -> str:
    """Code of a language in FLORES-200 and in NLLB's tokenizers: ISO 639-3 and the script.

    >>> [nllb_code(code) for code in ("de", "ar", "zh", "fa")]
    ['deu_Latn', 'arb_Arab', 'zho_Hans', 'pes_Arab']
    """
    known = LANGUAGES[code]
    return f"{_FLORES.get(code, known.iso3)}_{SCRIPT_CODES[known.script]}"
