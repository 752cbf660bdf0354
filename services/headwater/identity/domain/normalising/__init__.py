"""The normalisation room: from a raw record to typed values, and from those to keys. Pure.

Owns every rule that says what two spellings have in common, and the version of those rules. Must not
compare two records, know what a key joins, or do I/O (a library's own tables are read at first use).

`normalise(object, fields, region=…)` gives a `Normal`; `keys_of(normal)` its keys; `changes_of(normal)`
which rule changed what, computed only when asked. Names of rules are stable: explanations cite them.
"""

from __future__ import annotations

from headwater.identity.domain.normalising.keys import (
    EXCLUSIVE,
    HashedKey,
    Keys,
    external_key,
    hash_of,
    keys_of,
    strong_of,
    weak_of,
)
from headwater.identity.domain.normalising.record import changes_of, normalise
from headwater.identity.domain.normalising.rules import NORMALISATION_VERSION, RULES, Change
from headwater.identity.domain.normalising.values import Normal

__all__ = [
    "EXCLUSIVE",
    "NORMALISATION_VERSION",
    "RULES",
    "Change",
    "HashedKey",
    "Keys",
    "Normal",
    "changes_of",
    "external_key",
    "hash_of",
    "keys_of",
    "normalise",
    "strong_of",
    "weak_of",
]
