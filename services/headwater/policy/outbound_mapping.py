"""How objects and their fields are written to a CRM: what a connector's mapping says."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from headwater.policy.words import (
    EXPRESSION_CHARS_MAX,
    Conflict,
    Direction,
    FieldName,
    Name,
    Part,
    Text,
    TransformName,
)
from headwater.policy.writing import Withhold


class OutboundField(Part):
    """How one field of the CRM is filled."""

    field: FieldName | None = None
    transform: TransformName = "text"
    expr: Annotated[str, Field(max_length=EXPRESSION_CHARS_MAX)] = ""
    """CEL expression of `value` that is written in its place; not asked about a missing value."""
    values: dict[str, str] = {}
    """Canonical value to the CRM's value; values not listed pass unchanged."""
    default: str | None = None
    """Written when the canonical value is missing."""
    conflict: Conflict | None = None
    """Of a mapping that is read as well: instead of the mapping's."""


class OutboundObject(Part):
    """How a canonical object is written to a connector."""

    direction: Direction = "out"
    """`out`: only written; `in`: only read; `two_way`: both."""
    conflict: Conflict | None = None
    """What becomes of a person's change in the CRM; a mapping in two ways must say it. `policy`: it counts by the
    field's rule, for which the CRM is among the field's owners; `overwrite`: Headwater's value is written over it,
    and the CRM is no owner."""
    target: Text
    """The CRM's name of the object, as `contacts` or `Contact`."""
    external_id: Text
    """The CRM field that holds the entity id; unique there."""
    when: dict[FieldName, tuple[str, ...]] = {}
    """Only entities whose field has one of the values: by it one object has several targets."""
    fields: dict[Text, OutboundField]
    references: dict[Text, FieldName] = {}
    """The CRM's reference (a field, or an associated object) to the canonical reference field."""
    end_marks: dict[Text, Literal["state", "winner_entity_id"]] = {}
    """Written when the entity ends (merged or deleted; nothing is ever hard-deleted): CRM field to meaning."""
    merge: Literal["link-only", "merge"] = "link-only"
    """What follows a merge of entities: the loser's record gets its end marks, or the CRM merges both records."""
    deletes: Literal["mark", "remove"] = "mark"
    """What follows when an entity is deleted: its record gets its end marks and stays, or, when these have stood for
    `grace_days`, it is put into the CRM's bin."""
    consent: dict[Name, Withhold] = {}
    """Purpose to what is not written of somebody who does not agree to it."""
    _if_empty: frozenset[str] = PrivateAttr(default=frozenset())
    _unread: frozenset[str] = PrivateAttr(default=frozenset())

    @cached_property
    def if_empty(self) -> frozenset[str]:
        """CRM fields that are written only where the CRM holds nothing."""
        return self._if_empty

    @cached_property
    def unread(self) -> frozenset[str]:
        """CRM fields that are written and never asked for."""
        return self._unread

    def narrow(self, if_empty: Iterable[str], unread: Iterable[str]) -> None:
        """Take over what scopes say of the fields; once, when the document is read."""
        self._if_empty, self._unread = frozenset(if_empty), frozenset(unread)
        for kept in ("if_empty", "unread"):
            self.__dict__.pop(kept, None)
