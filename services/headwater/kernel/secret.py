"""A text that nobody sees by accident. Owns the type; knows no secret's meaning.

Everything that turns values into text or bytes (repr, str, format, pickle, JSON with a default) gets `***`.
"""

from __future__ import annotations

import hmac
from typing import Any, Final, NoReturn

REDACTED: Final = "***"


class Secret:
    """A secret text; `reveal` is the one way to it."""

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """Return the text, for whoever must send it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    def __str__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a secret cannot be changed: {name}")

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        """Pickle as a redacted one: a dump, a crash report or another process gets nothing."""
        return (Secret, (REDACTED,))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self
