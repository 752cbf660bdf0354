"""Which failures have the same cause: vendors' words without what differs from record to record. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from headwater.sync.domain.settling import Settlement

MESSAGE_CHARS_MAX: Final = 512
"""Length to which vendors' words are cut, before and after; as `sync.attempt.error_message`."""
CODE_CHARS_MAX: Final = 128
MESSAGES_KEPT: Final = 2048
"""Messages at hand with what they become: a storm of failures repeats a few, each costs 50 us anew."""
_NAMESPACE: Final = uuid.UUID("5d0c5ac5-2f0f-5f5e-9d0b-6a7a4f1c2a11")
"""Fixed for ever: a group keeps its id over releases."""

_PLACEHOLDERS: Final[tuple[tuple[str, str], ...]] = (
    ("url", r"\bhttps?://[^\s<>\"']+"),
    ("email", r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"),
    ("id", r"\b[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\b"),
    ("value", r'"[^"\n]*"|“[^”\n]*”|`[^`\n]*`|(?<!\w)\'[^\'\n]*\'(?!\w)'),
    ("time", r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"),
    ("id", r"\b(?=\w*\d\w*\d)(?=\w*[A-Za-z])[0-9A-Za-z]{8,}\b"),
    ("n", r"(?<![A-Za-z_])[+-]?\d+(?:[.,:/-]\d+)*\b"),
)
"""Placeholder and what it stands for; what stands first takes first. None of them matches a placeholder."""
_RULES: Final = re.compile("|".join(f"({pattern})" for _, pattern in _PLACEHOLDERS))
_NAMES: Final = tuple(f"<{name}>" for name, _ in _PLACEHOLDERS)
_PLACEHOLDER: Final = re.compile(r"<(?:url|email|id|value|time|n)>")
_BLANKS: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why tries fail: what makes a group of errors."""

    connector: str
    endpoint: str
    error_class: str
    error_code: str
    message: str

    def group_id(self, tenant_id: str) -> uuid.UUID:
        """Return the group's id: the same for the same cause, in every process and release."""
        parts = (tenant_id, self.connector, self.endpoint, self.error_class, self.error_code, self.message)
        return uuid.uuid5(_NAMESPACE, "\x1f".join(parts))


@dataclass(frozen=True, slots=True)
class Gathered:
    """The failures of one batch that share a cause.

    Args:
        members: entity, and whether nobody knows what became of its write.
        last_message: the vendor's words of the last of them, as they came.
    """

    cause: Cause
    members: tuple[tuple[uuid.UUID, bool], ...]
    last_message: str


@lru_cache(MESSAGES_KEPT)
def normalise(message: str) -> str:
    """Return *message* with addresses, ids, numbers, times and quoted values replaced by placeholders.

    Normalising twice changes nothing, and two messages that differ in such parts alone become one.
    """
    text = _cut(message)
    while (replaced := _cut(_round(text))) != text:  # ends: what is no placeholder grows shorter each time
        text = replaced
    return text


def _cut(text: str) -> str:
    return _BLANKS.sub(" ", text)[:MESSAGE_CHARS_MAX].strip()


def _round(text: str) -> str:
    """Replace once; placeholders of an earlier round stay what they are."""
    kept: list[str] = []
    place = 0
    for found in _PLACEHOLDER.finditer(text):
        kept += (_replaced(text[place : found.start()]), found.group())
        place = found.end()
    kept.append(_replaced(text[place:]))
    return "".join(kept)


def _replaced(text: str) -> str:
    return _RULES.sub(lambda found: _NAMES[(found.lastindex or 1) - 1], text)


def cause_of(settlement: Settlement) -> Cause:
    """Return why *settlement*'s try failed."""
    claimed = settlement.claimed
    return Cause(
        claimed.connector,
        settlement.endpoint or settlement.crm_object or claimed.object,
        settlement.error_class,
        settlement.error_code[:CODE_CHARS_MAX],
        normalise(settlement.error_message),
    )


def gather(settlements: Iterable[Settlement]) -> tuple[Gathered, ...]:
    """Group the failed ones among *settlements* by cause, in the order of group ids of one tenant."""
    members: dict[Cause, dict[uuid.UUID, bool]] = {}
    words: dict[Cause, str] = {}
    for item in settlements:
        if item.error_class:
            cause = cause_of(item)
            members.setdefault(cause, {})[item.claimed.entity_id] = item.outcome == "in_doubt"
            words[cause] = item.error_message[:MESSAGE_CHARS_MAX]
    return tuple(Gathered(cause, tuple(held.items()), words[cause]) for cause, held in members.items())


def recovered(settlements: Iterable[Settlement]) -> list[uuid.UUID]:
    """Return the entities among *settlements* whose try before failed and whose last one did not."""
    return [item.claimed.entity_id for item in settlements if item.claimed.erred and not item.error_class]
