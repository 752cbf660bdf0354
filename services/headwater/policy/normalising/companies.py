"""Names of companies: as people show them, and as they are compared. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from anyascii import anyascii

from headwater.policy.normalising import legal_forms as tables

KEPT: Final = 8192
"""Names at hand."""
_BETWEEN: Final = " \t,;"
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")
_WORDS: Final = re.compile(r"[^\s,;]+")
_GLUE: Final = frozenset({"&", "+", "-", "/"})


def _spellings() -> frozenset[tuple[str, ...]]:
    rows = (row.partition(": ")[2].split(", ") for row in tables.LEGAL_FORMS)
    return frozenset(tuple(written.split()) for spellings in rows for written in spellings)


_FORMS: Final = _spellings()
_WORDS_MAX: Final = max(map(len, _FORMS))
_ENDS: Final = frozenset(words[-1] for words in _FORMS)


@lru_cache(KEPT)
def company(text: str) -> str:
    """Return a company's name without needless spaces and without the legal form at its end; idempotent.

    What is left keeps its spelling; a name that is nothing but a legal form is kept whole.
    """
    shown = " ".join(text.split())
    for written in tables.HAN_FORMS:
        if len(shown) > len(written) and (shown.startswith(written) or shown.endswith(written)):
            return company(shown.removeprefix(written).removesuffix(written).strip() or shown)
    while True:
        shorter = _without_form(shown)
        if shorter == shown:
            return shown
        shown = shorter


def _without_form(shown: str) -> str:
    places = [(found.start(), found[0]) for found in _WORDS.finditer(shown)]
    last = _initials_joined(_fold(places[-1][1]).split()) if len(places) > 1 else []
    if not last or (last[-1] not in _ENDS and len(places[-1][1].strip(".")) > 1):
        return shown
    folded = [_fold(word) for _, word in places]
    for count in range(min(_WORDS_MAX * 2, len(places) - 1), 0, -1):
        words = _initials_joined(" ".join(folded[-count:]).split())
        if tuple(words) in _FORMS:
            return _trimmed(shown[: places[-count][0]]) or shown
    return shown


def _initials_joined(words: list[str]) -> list[str]:
    joined: list[str] = []
    run = ""
    for word in [*words, ""]:
        if len(word) == 1:
            run += word
            continue
        if run:
            joined.append(run)
            run = ""
        if word:
            joined.append(word)
    return joined


def _trimmed(text: str) -> str:
    """Return the name before a legal form, without what led to it: commas, `and`, `&`."""
    shown = text.rstrip(_BETWEEN)
    head, _, last = shown.rpartition(" ")
    return _trimmed(head) if head and (last in _GLUE or last.casefold() in tables.LEGAL_LINKS) else shown


@lru_cache(KEPT)
def company_match(text: str) -> str:
    """Return the form in which names of companies are compared: folded, without article and legal form; idempotent."""
    folded = " ".join(_fold(company(text)).split())
    bare = folded.removeprefix("the ") if len(folded) > len("the ") else folded
    again = " ".join(_fold(company(bare)).split())
    return (again if again == bare else company_match(again)) or " ".join(text.split())


@lru_cache(KEPT)
def _fold(text: str) -> str:
    plain = text if text.isascii() else anyascii(unicodedata.normalize("NFKC", text))
    lower = plain.lower().replace("'", "").replace("&", " and ").replace("+", " and ")
    return _NO_WORD.sub(" ", lower).strip()
