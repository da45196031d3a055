"""Rows made from rows: translation, code-switching, transliteration."""
