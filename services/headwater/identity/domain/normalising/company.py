"""Names of companies: what is left without article and legal form, in one spelling. Pure.

Rules: `company.*`, `name.transliteration`, `name.fold`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from headwater.identity.domain.normalising import company_tables as tables
from headwater.identity.domain.normalising.name_tables import PLACEHOLDER_NAMES
from headwater.identity.domain.normalising.rules import Note, unheard
from headwater.identity.domain.normalising.text import CACHED_MAX, clean, fold, is_latin
from headwater.identity.domain.normalising.values import NO_COMPANY, Company

_GLUED: Final = re.compile(r"(?<=[a-z])(?=(?:AG|GmbH|LLC|Ltd|Inc|BV|NV|SRL|SpA|Oy|AB|SA|SE|KG)$)")
"""Where a form is written without a space, as in `SiemensAG`."""


def _spellings() -> dict[tuple[str, ...], str]:
    rows = (row.split(": ") for row in tables.LEGAL_FORMS)
    return {tuple(written.split()): form for form, spellings in rows for written in spellings.split(", ")}


_FORMS: Final = _spellings()
_LEADING: Final = {key: _FORMS[key] for key in (tuple(written.split()) for written in tables.LEADING_WORDS)}
_FORM_WORDS_MAX: Final = max(len(words) for words in _FORMS)
_STARTS: Final = frozenset(words[0] for words in _LEADING)
_ENDS: Final = frozenset(words[-1] for words in _FORMS)


@lru_cache(CACHED_MAX)
def read_company(raw: str) -> Company:
    """Return the company's name, its key and its legal form; idempotent on the key."""
    return company_of(raw)


def company_of(raw: str, note: Note = unheard) -> Company:
    """Return what `read_company` does, and tell *note* which rules changed something."""
    text = clean(raw)
    if not text:
        return NO_COMPANY
    bare, form = (text, "") if text.isascii() else _without_foreign_form(text, note)
    words = fold(_GLUED.sub(" ", bare)).split()
    folded = " ".join(words)
    _note_folding(bare, folded, note)
    words = _joined_initials(words)
    name = " ".join(words)
    _noted(note, "company.initials", folded, name)
    if not name or name in PLACEHOLDER_NAMES:
        note("company.placeholder", text, "")
        return NO_COMPANY
    words, stripped = _stripped(words, note)
    key = " ".join([tables.ABBREVIATIONS.get(word, word) for word in words])
    _noted(note, "company.abbreviation", " ".join(words), key)
    return NO_COMPANY if key in PLACEHOLDER_NAMES else Company(name, key, stripped or form)


def _note_folding(bare: str, folded: str, note: Note) -> None:
    if note is unheard:
        return
    if not is_latin(bare):
        note("name.transliteration", bare, folded)
    if "&" in bare:
        note("company.ampersand", bare, folded)
    _noted(note, "name.fold", bare, folded)


def _noted(note: Note, rule: str, before: str, after: str) -> None:
    if before != after:
        note(rule, before, after)


def _without_foreign_form(text: str, note: Note) -> tuple[str, str]:
    """Strip a legal form that stands without a space, or in Cyrillic capitals."""
    for written, form in tables.HAN_FORMS.items():
        for bare in (text.removeprefix(written), text.removesuffix(written)):
            if bare != text and fold(bare):
                note("company.legal_form", text, bare.strip())
                return bare.strip(), form
    words = re.findall(r"\w+", text)
    for word, rest in ((words[0], 1), (words[-1], -1)) if len(words) > 1 else ():
        if word in tables.CYRILLIC_FORMS:
            bare = text[text.index(word) + len(word) :] if rest == 1 else text[: text.rindex(word)]
            note("company.legal_form", text, bare.strip())
            return bare, tables.CYRILLIC_FORMS[word]
    return text, ""


def _joined_initials(words: list[str]) -> list[str]:
    """Join single letters in a row, so that `b v` reads `bv`."""
    if 1 not in map(len, words):
        return words
    joined: list[str] = []
    initials = ""
    for word in [*words, ""]:
        if len(word) == 1 and word.isalpha():
            initials += word
            continue
        if initials:
            joined.append(initials)
            initials = ""
        if word:
            joined.append(word)
    return joined


def _stripped(words: list[str], note: Note) -> tuple[list[str], str]:
    """Strip article and legal forms at both ends, as long as a word is left; the outermost form is told."""
    form = ""
    while True:
        if len(words) > 1 and words[0] == "the":
            note("company.article", " ".join(words), " ".join(words[1:]))
            words = words[1:]
        rest, found = _without_form(words)
        if not found:
            return words, form
        note("company.legal_form", " ".join(words), " ".join(rest))
        words, form = rest, form or found


def _without_form(words: list[str]) -> tuple[list[str], str]:
    if words[-1] in _ENDS:
        for count in range(min(_FORM_WORDS_MAX, len(words) - 1), 0, -1):
            form = _look_up(_FORMS, words[-count:])
            if form:
                return _without_links(words[:-count]), form
    if words[0] in _STARTS:
        for count in range(min(_FORM_WORDS_MAX, len(words) - 1), 0, -1):
            form = _look_up(_LEADING, words[:count])
            if form:
                return words[count:], form
    return words, ""


def _look_up(forms: Mapping[tuple[str, ...], str], words: Sequence[str]) -> str:
    return forms.get(tuple(words), "")


def _without_links(words: list[str]) -> list[str]:
    while len(words) > 1 and words[-1] in tables.LEGAL_LINKS:
        words = words[:-1]
    return words
