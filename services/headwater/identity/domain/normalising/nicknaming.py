"""Given names that are used for each other. Pure; English ones are the library `nicknames`'s table."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final

from nicknames import NickNamer

from headwater.identity.domain.normalising import name_tables
from headwater.identity.domain.normalising.text import CACHED_MAX

_ROWS: Final = {word: row.split()[0] for row in name_tables.NICKNAMES for word in row.split()}


@cache
def _library() -> NickNamer:
    return NickNamer()


@lru_cache(CACHED_MAX)
def canonical_names(given: str) -> frozenset[str]:
    """Return the full names that one folded given name may stand for, itself among them.

    Two names may be one person's when they have a full name in common.
    """
    found = {given, *_library().canonicals_of(given)}
    if given in _ROWS:
        found.add(_ROWS[given])
    return frozenset(found)
