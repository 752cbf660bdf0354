"""Folding of text: one form for what people read as the same. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

VALUE_CHARS_MAX: Final = 255
"""Longest raw value that is read and longest key value that is made; longer ones identify nobody.

Four bytes a character at the most keep a key's index row below Postgres's limit of 2,704 bytes.
"""

_LETTERS: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h"}
)
"""Letters that Unicode does not take apart into a base and a mark."""

_APOSTROPHES: Final = re.compile("['`\u2018\u2019\u00b4\u02bc]")

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Postgres stores no NUL, and no identifier has a line break."""


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Return *text* in lower case, without marks, words parted by one space; idempotent.

    Apostrophes vanish (`O'Neil` reads as `ONeil`), other punctuation parts words, `&` reads `and`.
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    plain = unicodedata.normalize("NFKD", plain).translate(_LETTERS)
    plain = _APOSTROPHES.sub("", plain).replace("&", " and ")
    letters = [c if c.isalnum() else " " for c in plain if not unicodedata.combining(c)]
    return " ".join("".join(letters).split())


def clean(raw: str) -> str:
    """Return *raw* without control characters and outer space; nothing when it is longer than a value may be."""
    stripped = _CONTROLS.sub(" ", raw).strip()
    return stripped if len(stripped) <= VALUE_CHARS_MAX else ""
