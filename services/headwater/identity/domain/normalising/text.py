"""Folding of text: one form for what people read as the same. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from anyascii import anyascii

VALUE_CHARS_MAX: Final = 255
"""Longest raw value that is read and longest key value that is made; longer ones identify nobody.

Four bytes a character at the most keep a key's index row below Postgres's limit of 2,704 bytes.
"""

CACHED_MAX: Final = 16_384
"""Values that each cached rule remembers: a batch or two of records, a few MB in all."""

_APOSTROPHES: Final = re.compile("['`\u2018\u2019\u00b4\u02bc\u02b9]")

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Postgres stores no NUL, and no identifier has a line break."""

_ASCII: Final = {
    code: None if chr(code) in "'`" else (chr(code).lower() if chr(code).isalnum() else " ")
    for code in range(128)
}


@lru_cache(CACHED_MAX)
def fold(text: str) -> str:
    """Return *text* in lower-case Latin letters without marks, words parted by one space; idempotent.

    Apostrophes vanish (`O'Neil` reads as `ONeil`), other punctuation parts words, `&` reads `and`. What is
    longer than a value may be is cut: some letters take several to write.
    """
    plain = text if text.isascii() else _latin(text)
    if "&" in plain:
        plain = plain.replace("&", " and ")
    folded = " ".join(plain.translate(_ASCII).split())
    return folded if len(folded) <= VALUE_CHARS_MAX else folded[:VALUE_CHARS_MAX].rstrip()


def _latin(text: str) -> str:
    """Write every letter and digit in ASCII, and everything else but `&` as a space."""
    composed = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text))
    kept = [letter if letter == "&" or _is_word(letter) else " " for letter in composed]
    return anyascii("".join(kept))


def _is_word(letter: str) -> bool:
    """Say whether *letter* is part of a word: a letter, a digit, or a mark (vowels are, in Indic scripts)."""
    return letter.isalnum() or unicodedata.category(letter)[0] == "M"


def is_latin(text: str) -> bool:
    """Say whether all letters of *text* are Latin ones, marks or not."""
    return text.isascii() or all(
        unicodedata.name(letter, "").startswith("LATIN") for letter in text if letter.isalpha()
    )


def clean(raw: str) -> str:
    """Return *raw* without control characters and outer space; nothing when it is longer than a value may be."""
    stripped = raw.strip() if raw.isprintable() else _CONTROLS.sub(" ", raw).strip()
    return stripped if len(stripped) <= VALUE_CHARS_MAX else ""
