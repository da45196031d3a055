"""Translations kept on disk as they come, so that a translation of days can be killed and goes on where it was."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from tqdm.auto import tqdm

_CHUNK = 256
_LOOKUP = 500  # SQLite takes 999 parameters at a time, in its oldest versions


class Translator(Protocol):
    """What translates: `hf_stilts.augmentation.translators.ModelTranslator`, or a function of one's own with these two.

    `identity` names all that decides the result: the model's commit and the settings of the generation. A call gives
    one translation for each text, None where there is none (the text is too long, or the translation does not end).
    """

    identity: str

    def __call__(self, texts: Sequence[str], source: str, target: str) -> Sequence[str | None]:
        """Translations of `texts` from one language into another, in their order; two-letter codes."""


class TranslationCache:
    """Translations by content: of the translator's identity, the two languages and the text.

    Args:
        path: SQLite file, made where it is missing; several processes may use it at once.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, text TEXT) WITHOUT ROWID"
            )

    def translate(
        self, translator: Translator, texts: Iterable[str], source: str, target: str
    ) -> dict[str, str | None]:
        """Translation of each different text; those that are not kept yet are made, longest first, and kept at once.

        A text without a letter is its own translation.
        """
        wanted = list(dict.fromkeys(texts))
        found: dict[str, str | None] = {text: text for text in wanted if not any(map(str.isalpha, text))}
        keys = {text: _key(translator.identity, source, target, text) for text in wanted if text not in found}
        with closing(self._connect()) as connection:
            kept = dict(_kept(connection, list(keys.values())))
            found |= {text: kept[key] for text, key in keys.items() if key in kept}
            missing = sorted((text for text in wanted if text not in found), key=len, reverse=True)
            progress = tqdm(total=len(missing), desc=f"{source} to {target}", disable=not sys.stderr.isatty())
            with progress:
                for start in range(0, len(missing), _CHUNK):
                    chunk = missing[start : start + _CHUNK]
                    made = dict(zip(chunk, translator(chunk, source, target), strict=True))
                    with connection:
                        rows = [(keys[text], translation) for text, translation in made.items()]
                        connection.executemany("INSERT OR REPLACE INTO translations VALUES (?, ?)", rows)
                    found |= made
                    progress.update(len(chunk))
        return found

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=600)


def _kept(connection: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, str | None]]:
    for start in range(0, len(keys), _LOOKUP):
        part = keys[start : start + _LOOKUP]
        marks = ",".join("?" * len(part))
        yield from connection.execute(f"SELECT key, text FROM translations WHERE key IN ({marks})", part)


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
