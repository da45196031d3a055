"""Writes the tables of hf_stilts/augmentation/keyboards.py: where the letters of the 50 languages lie, from xkb-data.

    python tools/keyboards.py

needs xkb-data and libxkbcommon (Debian: xkb-data, libxkbcommon0), which resolve the layouts' nested includes and key
symbols. The package itself needs neither: the tables that this writes are kept in it. What stands above them is the
module's own, but for the version of xkb-data and its holders.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import regex

from hf_stilts.languages import LANGUAGES

# Layout (or layout(variant)) of each language, as xkb-data names it. No layout of their own in daily use have Haitian
# Creole (French in Microsoft's locale data), Indonesian, Javanese in Latin script, Malay, Dutch, Afrikaans and
# Vietnamese (the US one; Vietnamese marks are typed as letters behind the vowel). Korean is below.
LAYOUTS = {
    "af": "za", "ar": "ara", "az": "az", "bg": "bg", "bn": "in(ben)", "de": "de", "el": "gr", "en": "us", "es": "es",
    "et": "ee", "eu": "es", "fa": "ir", "fi": "fi", "fr": "fr", "gu": "in(guj)", "he": "il", "hi": "in(deva)",
    "ht": "fr", "hu": "hu", "id": "us", "it": "it", "ja": "jp(kana)", "jv": "us", "ka": "ge", "kk": "kz", "lt": "lt",
    "ml": "in(mal)", "mr": "in(marathi)", "ms": "us", "my": "mm", "nl": "us", "pa": "in(guru)", "pl": "pl", "pt": "pt",
    "qu": "latam", "ro": "ro", "ru": "ru", "sw": "ke", "ta": "in(tam)", "te": "in(tel)", "th": "th", "tl": "ph",
    "tr": "tr", "uk": "ua", "ur": "pk", "vi": "us", "wo": "sn", "yo": "ng(yoruba)",
}  # fmt: skip
# KS X 5002, the two-set layout. Input methods have it and xkb-data has not: its Korean layouts hold Latin letters.
KOREAN = (
    ("", ""),
    ("ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅃㅉㄸㄲㅆ   ㅒㅖ"),
    ("ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", ""),
    (" ㅋㅌㅊㅍㅠㅜㅡ", ""),
)
# Keys of each row from left to right, by their XKB names; the module that is written says where each row begins.
ROWS = (
    ("TLDE", *(f"AE{number:02}" for number in range(1, 14))),
    tuple(f"AD{number:02}" for number in range(1, 13)),
    (*(f"AC{number:02}" for number in range(1, 12)), "BKSL"),
    ("LSGT", *(f"AB{number:02}" for number in range(1, 12))),
)
SCRIPTS = {"Burmese": "Myanmar", "Perso-Arabic": "Arabic", "Ideograms+kana": "Katakana"}
MODULE = Path(__file__).parents[1] / "hf_stilts" / "augmentation" / "keyboards.py"
TABLES = "ROWS: dict[str, Rows] = {\n"  # the line of the module at which the tables begin


class Names(ctypes.Structure):
    """`struct xkb_rule_names`."""

    _fields_ = [(name, ctypes.c_char_p) for name in ("rules", "model", "layout", "variant", "options")]


def library() -> ctypes.CDLL:
    """libxkbcommon, its pointers declared."""
    name = ctypes.util.find_library("xkbcommon")
    if name is None:
        sys.exit("libxkbcommon was not found. Install it: apt-get install libxkbcommon0 xkb-data")
    loaded = ctypes.CDLL(name)
    pointer, number, text = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p
    signatures = {
        "xkb_context_new": (pointer, [ctypes.c_int]),
        "xkb_keymap_new_from_names": (pointer, [pointer, ctypes.POINTER(Names), ctypes.c_int]),
        "xkb_keymap_key_by_name": (number, [pointer, text]),
        "xkb_keymap_key_get_syms_by_level": (
            ctypes.c_int,
            [pointer, number, number, number, ctypes.POINTER(ctypes.POINTER(number))],
        ),
        "xkb_keysym_to_utf32": (number, [number]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def rows_of(xkb: ctypes.CDLL, layout: str, script: str) -> tuple[tuple[str, str], ...]:
    """Letters and marks of a script on a layout, row by row, without and with Shift."""
    name, _, variant = layout.rstrip(")").partition("(")
    wanted = Names(b"evdev", b"pc105", name.encode(), variant.encode(), b"")
    keymap = xkb.xkb_keymap_new_from_names(xkb.xkb_context_new(0), ctypes.byref(wanted), 0)
    if not keymap:
        sys.exit(f"xkb-data has no layout {layout}. Correct LAYOUTS in {__file__}.")

    def letter(key: str, level: int) -> str:
        symbols = ctypes.POINTER(ctypes.c_uint32)()
        code = xkb.xkb_keymap_key_by_name(keymap, key.encode())
        if xkb.xkb_keymap_key_get_syms_by_level(keymap, code, 0, level, ctypes.byref(symbols)) != 1:
            return " "
        return kept(chr(xkb.xkb_keysym_to_utf32(symbols[0])), script)

    found = []
    for row in ROWS:
        plain = "".join(letter(key, 0) for key in row)
        shifted = "".join(letter(key, 1) for key in row)
        found.append((plain.rstrip(), shifted.rstrip()))
    return tuple(found)


def kept(letter: str, script: str) -> str:
    """A letter or mark of the script, else a blank; kana as hiragana; no compatibility forms, which no text has."""
    ours = regex.fullmatch(rf"(?V1)[[\p{{L}}\p{{M}}]&&[\p{{Script={script}}}\p{{Script=Inherited}}]]", letter)
    if not ours or unicodedata.normalize("NFKC", letter) != letter:
        return " "
    return chr(ord(letter) - 0x60) if "ァ" <= letter <= "ヶ" else letter


def quoted(text: str) -> str:
    """A literal that every editor shows key by key: marks, and letters from right to left, as escapes."""
    shown = (
        f"\\u{ord(each):04x}"
        if unicodedata.category(each).startswith("M") or unicodedata.bidirectional(each) in ("R", "AL")
        else each
        for each in text
    )
    return '"' + "".join(shown) + '"'


def lines(layouts: dict[str, tuple[tuple[str, str], ...]]) -> Iterable[str]:
    """Entries of the table."""
    for name, rows in layouts.items():
        yield f'    "{name}": ('
        for plain, shifted in rows:
            line = f"        ({quoted(plain)}, {quoted(shifted)}),"
            if len(line) <= 120:
                yield line
            else:
                yield from (
                    "        (",
                    f"            {quoted(plain)},",
                    f"            {quoted(shifted)},",
                    "        ),",
                )
        yield "    ),"


def version() -> str | None:
    """Debian's version of xkb-data; None where it is not installed."""
    status = Path("/var/lib/dpkg/status")
    _, found, package = (status.read_text(encoding="utf-8") if status.is_file() else "").partition(
        "Package: xkb-data\n"
    )
    return package.partition("Version: ")[2].partition("\n")[0] if found else None


def head(written: str, terms: str) -> str:
    """What stands above the tables: the text of the module that is there, with the version and the holders of now.

    Args:
        written: the module.
        terms: copyright file of xkb-data.
    """
    above = written.partition(TABLES)[0]
    above = regex.sub(r"(?<=xkb-data )\S+(?= \(X Keyboard)", version() or "of unknown version", above)
    found = [f"    {line.strip()}\n" for line in terms.split("\n") if line.startswith("Copyright ")]
    holders = "".join(dict.fromkeys(found))
    return regex.sub(r"(?:^    Copyright .*\n)+", lambda _: holders, above, flags=regex.MULTILINE)


def module() -> str:
    """The module that is written."""
    terms = Path("/usr/share/doc/xkb-data/copyright").read_text(encoding="utf-8")
    xkb = library()
    script = {code: SCRIPTS.get(LANGUAGES[code].script, LANGUAGES[code].script) for code in LANGUAGES}
    layouts = {layout: rows_of(xkb, layout, script[code]) for code, layout in sorted(LAYOUTS.items())}
    layouts["kr"] = KOREAN
    codes = {code: LAYOUTS.get(code, "kr") for code in LANGUAGES if code != "zh"}
    text = [*lines(layouts), "}", ""]
    text += ["# Language -> layout. Chinese has none: its characters are typed by their sound.", "LAYOUTS = {"]
    text += [f'    "{code}": "{layout}",' for code, layout in codes.items()]
    return head(MODULE.read_text(encoding="utf-8"), terms) + TABLES + "\n".join([*text, "}", ""])


def main() -> None:
    """Write the module."""
    MODULE.write_text(module(), encoding="utf-8")


if __name__ == "__main__":
    main()
