"""Names of people: given and family name, and what stands about them. Pure.

Rules: `name.*`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from headwater.identity.domain.normalising import name_tables as tables
from headwater.identity.domain.normalising.rules import Note, unheard
from headwater.identity.domain.normalising.text import CACHED_MAX, clean, fold, is_latin
from headwater.identity.domain.normalising.values import NO_NAME, PersonName

CAPITALS_MIN: Final = 3
"""Letters that a family name in capitals has at least: shorter ones may be initials."""
_FULL_WORDS_MIN: Final = 2
_HAN: Final = re.compile(r"[\u4e00-\u9fff\uac00-\ud7a3]{2,4}")
_HAN_FOUR: Final = 4


class Person(NamedTuple):
    """A person's name, and the titles and degrees that stood about it."""

    name: PersonName = NO_NAME
    titles: tuple[str, ...] = ()


class Part(NamedTuple):
    """One field of a name: its words, what stood about them, and the words as one text.

    Args:
        doubtful: it may stand for no name or be one: the other field decides.
    """

    words: tuple[str, ...] = ()
    generation: str = ""
    titles: tuple[str, ...] = ()
    name: str = ""
    doubtful: bool = False


_NO_PART: Final = Part()


def read_person(first: str, last: str, full: str, note: Note = unheard) -> Person:
    """Return the name from its parts or, where both are missing, from the full name.

    Idempotent on given and family name. Tells *note* which rules changed something.
    """
    first, last = clean(first), clean(last)
    if not first or not last:
        first, last = _parted(first, last, full, note)
    part = _cached_part if note is unheard else _part
    given, family = part(first, note), part(last, note)
    if given.doubtful or family.doubtful:
        given, family = _settled(first, given, last, family, note)
    generation, titles = family.generation or given.generation, given.titles + family.titles
    while given.name == family.name and len(given.words) >= _FULL_WORDS_MIN:  # both fields hold the full name
        given_words, family_words = _in_natural_order(list(given.words), note)
        note("name.repeated", last, " ".join(family_words))
        given, family = part(" ".join(given_words), note), part(" ".join(family_words), note)
        generation = generation or family.generation or given.generation
    return Person(PersonName(given.name, family.name, generation), titles)


def _parted(first: str, last: str, full: str, note: Note) -> tuple[str, str]:
    """Return first and last where one field or another holds a full name."""
    if first or last:
        either = first or last
        return _split(either, note) if "," in either else (first, last)
    full = clean(full)
    return _split(full, note) if full else ("", "")


def _split(full: str, note: Note) -> tuple[str, str]:
    """Part a full name: `Family, Given`, `FAMILY Given`, `Given … Family`, or in Chinese letters."""
    family, given = _by_comma(full)
    if given:
        note("name.comma", full, f"{given} {family}")
        return given, family
    words = family.split()
    compact = "".join(words)
    if _HAN.fullmatch(compact):
        return _in_han_order(words, compact, note)
    capitals = [word for word in words if word.isupper() and len(word) >= CAPITALS_MIN and not _is_tail(word)]
    if capitals and len(capitals) < len([word for word in words if not _is_tail(word) and len(word) > 1]):
        note("name.capitals", family, " ".join(capitals))
        return " ".join(word for word in words if word not in capitals), " ".join(capitals)
    first, last = _in_natural_order(words, note)
    return " ".join(first), " ".join(last)


def _by_comma(full: str) -> tuple[str, str]:
    """Return family and given name of `Family, Given`; everything and nothing where no comma parts them."""
    pieces = [piece.strip() for piece in full.split(",")]
    tail: list[str] = []
    while len(pieces) > 1 and all(_is_tail(word) for word in pieces[-1].split()):
        tail.insert(0, pieces.pop())
    return " ".join([pieces[0], *tail]), " ".join(pieces[1:])


def _is_tail(word: str) -> bool:
    folded = fold(word).replace(" ", "")
    return folded in tables.GENERATIONS or folded in tables.DEGREES


def _in_han_order(words: list[str], compact: str, note: Note) -> tuple[str, str]:
    known = compact[:2] in tables.HAN_FAMILIES or len(compact) == _HAN_FOUR
    cut = len(words[0]) if len(words) > 1 else 2 if known and len(compact) > 2 else 1  # noqa: PLR2004 - two letters
    note("name.han_order", " ".join(words), f"{compact[cut:]} {compact[:cut]}")
    return compact[cut:], compact[:cut]


def _in_natural_order(words: list[str], note: Note) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part `Given … Family`: the last word is the family name, with the particles before it."""
    tail: list[str] = []
    words = list(words)
    while len(words) > _FULL_WORDS_MIN - 1 and _is_tail(words[-1]):
        if fold(words[-1]) in tables.SHORT_DEGREES and len(words) == _FULL_WORDS_MIN:
            break
        tail.insert(0, words.pop())
    titled = len(words) > 1 and fold(words[0]) in tables.TITLES
    if len(words) < _FULL_WORDS_MIN:
        return tuple(words), tuple(tail)
    cut = len(words) - 1
    while cut > 1 + titled and fold(words[cut - 1]) in tables.PARTICLES:
        cut -= 1
    if cut < len(words) - 1:
        note("name.particle", " ".join(words), " ".join(words[cut:]))
    note("name.full", " ".join([*words, *tail]), " ".join(words[cut:]))
    return tuple(words[:cut]), (*words[cut:], *tail)


def read_part(raw: str) -> Part:
    """Return what one field of a name says, where no other field has a say in it."""
    part = _part(clean(raw), unheard)
    return _NO_PART if part.doubtful else part


def _settled(first: str, given: Part, last: str, family: Part, note: Note) -> tuple[Part, Part]:
    """Decide about doubtful parts: a word beside a name, written as that is, is a name where people have it."""
    certain = not (given.doubtful and family.doubtful) and _written_alike(first, last)
    is_given = certain and bool(family.name) and given.name in tables.GIVEN_TOO
    is_family = certain and bool(given.name) and family.name in tables.FAMILY_TOO
    found = []
    for raw, part, is_name in ((first, given, is_given), (last, family, is_family)):
        if part.doubtful and not is_name:
            note("name.placeholder", raw, "")
        found.append(_NO_PART if part.doubtful and not is_name else part)
    return found[0], found[1]


def _written_alike(one: str, other: str) -> bool:
    """Say whether two words are in capitals, in small letters, or neither: `NA` beside `Wang` was filled in.

    Letters without case go with any.
    """
    if one.upper() == one.lower() or other.upper() == other.lower():
        return True
    return one.isupper() == other.isupper() and one.islower() == other.islower()


@lru_cache(CACHED_MAX)
def _cached_part(raw: str, note: Note) -> Part:
    return _part(raw, note)


def _part(raw: str, note: Note) -> Part:
    """Read one field of a name: its words without what stands about them."""
    if not raw:
        return _NO_PART
    folded = fold(raw)
    if note is not unheard:
        _note_folding(raw, folded, note)
    words = folded.split()
    titles: list[str] = []
    while words and words[0] in (tables.TITLES if _has_more(words) else tables.LONE_TITLES):
        titles.append(words.pop(0))
        note("name.title", f"{titles[-1]} {' '.join(words)}", " ".join(words))
    generation = ""
    while words and (found := _tail_rule(words)):
        before = " ".join(words)
        word = words.pop()
        generation = tables.GENERATIONS.get(word, generation)
        titles.extend([word] if word in tables.DEGREES else [])
        note(found, before, " ".join(words))
    name = " ".join(words)
    if name in tables.PLACEHOLDER_NAMES:
        if raw.isalpha() and (name in tables.GIVEN_TOO or name in tables.FAMILY_TOO):
            return Part(tuple(words), generation, tuple(titles), name, doubtful=True)
        note("name.placeholder", raw, "")
        return _NO_PART
    return Part(tuple(words), generation, tuple(titles), name)


def _has_more(words: list[str]) -> bool:
    """Say whether a name follows the first word, not only a generation."""
    return any(word not in tables.GENERATIONS for word in words[1:])


def _tail_rule(words: list[str]) -> str:
    """Return the rule by which the last word goes, or nothing; a degree alone is a name."""
    if words[-1] in tables.GENERATIONS:
        return "name.generation"
    return "name.degree" if words[-1] in tables.DEGREES and len(words) > 1 else ""


def _note_folding(raw: str, folded: str, note: Note) -> None:
    if not is_latin(raw):
        note("name.transliteration", raw, folded)
    elif raw != folded:
        note("name.fold", raw, folded)
