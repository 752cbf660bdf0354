"""What a vendor says of a failure, without what it repeats of the record. Pure.

A vendor quotes the value that it refuses; attempts, dead letters and error groups are read by more people than records
are, and outlive them. Values of the record give way to the names of their fields, addresses and numbers of phones that
the vendor had from elsewhere to a placeholder: what failed can be read, of whom cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

VALUE_CHARS_MIN: Final = 3
"""Shorter values are parts of words."""
_EMAIL: Final = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE: Final = re.compile(r"\+\d(?:[ ().-]{0,2}\d){7,}")


def veiled(message: str, *told: Mapping[str, Any]) -> str:
    """Return *message* with each value of *told* replaced by `<field>`, further addresses by `<email>` and `<phone>`.

    Args:
        told: field to value, as the record and the CRM have them; values within lists and maps count as the field's.

    Letters' case does not matter; a value counts as a whole only, so that `Ann` leaves `Annual` alone.
    """
    texts = dict.fromkeys(
        pair for one in told for field, value in one.items() for pair in _texts(field, value)
    )
    text = _hidden(message, sorted(texts, key=lambda pair: len(pair[0]), reverse=True)) if texts else message
    return _PHONE.sub("<phone>", _EMAIL.sub("<email>", text))


def _hidden(message: str, texts: Sequence[tuple[str, str]]) -> str:
    """Replace texts by their fields, the longest first: a shorter one may be part of it."""
    either = "|".join(f"({re.escape(text)})" for text, _ in texts)
    named = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
    return named.sub(lambda found: f"<{texts[(found.lastindex or 1) - 1][1]}>", message)


def _texts(field: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield each text of a value with its field."""
    match value:
        case str() if len(text := value.strip()) >= VALUE_CHARS_MIN:
            yield text, field
        case Mapping():
            for one in value.values():
                yield from _texts(field, one)
        case list() | tuple():
            for one in value:
                yield from _texts(field, one)
