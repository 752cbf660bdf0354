"""The part of the policy document about what of a CRM's fields may be read and written at all, and what follows. Pure.

Which line counts for a field, the first that there is:

    the field's own line                         alone, and it may widen what the others say
    lines of its class, and of its object        together: each narrows, so what all of them allow
    no line                                      read and write what is mapped; class secret is never written

An object's line narrows a secret field and never widens it: only a field's own line, or one of class secret, names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from headwater.kernel.ids import ObjectName
from headwater.policy.words import FieldClass, FieldName, Part

AccessWord = Literal["read", "write", "write_if_empty", "never"]
RULE: Final = "scope"
"""Rule by which a value is neither read nor written; its message begins so."""


def _as_words(given: Any) -> Any:
    words = (given,) if isinstance(given, str) else given
    if isinstance(words, list | tuple) and len(words) > 1:
        if "never" in words:
            raise ValueError("never stands alone: nothing is read or written")
        if "write" in words and "write_if_empty" in words:
            raise ValueError("write and write_if_empty exclude each other")
    return words


_WORDS: Final = {"enum": list(get_args(AccessWord)), "type": "string"}
Access = Annotated[
    tuple[AccessWord, ...],
    Field(min_length=1, max_length=2),
    BeforeValidator(_as_words),
    WithJsonSchema({"anyOf": [_WORDS, {"type": "array", "items": _WORDS, "minItems": 1, "maxItems": 2}]}),
]
"""All that is allowed: what is not named is not. `write_if_empty` looks whether the CRM holds something first."""


class ObjectScope(Part):
    """What of an object's fields may be read and written."""

    access: Access | None = None
    """Of all its fields; narrows, and never widens, what the lines of their classes say."""
    classes: dict[FieldClass, Access] = {}
    """Of its fields of a class; narrows what the connector's line of the class says."""
    fields: dict[FieldName, Access] = {}
    """Of single fields: a field's own line counts alone, whatever the others say."""


class Scopes(Part):
    """What may be read from an account's CRM and written to it at all, whatever the mappings say; a mapping that goes
    further is an error. A field's own line counts alone. Without one, all lines of its class and of its object count
    together, and the narrower wins. Without any line what is mapped may be read and written, but class `secret` is
    never written: a field's own line, or one of class secret, must name it.
    """

    classes: dict[FieldClass, Access] = {}
    """Of all fields of a class."""
    objects: dict[ObjectName, ObjectScope] = {}
    """By canonical object."""


class Writing(IntEnum):
    """How far a field may be written; the smaller is the narrower."""

    NEVER = 0
    IF_EMPTY = 1
    ALWAYS = 2


class Scope(NamedTuple):
    """What may be done with one field.

    Args:
        read_line, write_line: paths below the connector of the lines that narrow it; empty: none does, or, where a
            secret is not written, the default.
    """

    reads: bool = True
    writing: Writing = Writing.ALWAYS
    read_line: str = ""
    write_line: str = ""


_OPEN: Final = Scope()
_SECRET: Final = Scope(writing=Writing.NEVER)


def scope_of(scopes: Scopes, object_name: ObjectName, field: FieldName, field_class: FieldClass) -> Scope:
    """Return what *scopes* let be done with a field."""
    part = scopes.objects.get(object_name)
    if part is not None and field in part.fields:
        return _scope((part.fields[field],), (f"scopes.objects.{object_name}.fields.{field}",))
    lines = dict(_class_lines(scopes, object_name, field_class))
    names_secret = bool(lines)
    if part is not None and part.access is not None:
        lines[f"scopes.objects.{object_name}.access"] = part.access
    if not lines:
        return _SECRET if field_class == "secret" else _OPEN
    found = _scope(tuple(lines.values()), tuple(lines))
    if field_class == "secret" and not names_secret:
        return found._replace(writing=Writing.NEVER, write_line="")
    return found


def _class_lines(
    scopes: Scopes, object_name: ObjectName, field_class: FieldClass
) -> Iterator[tuple[str, Access]]:
    if field_class in scopes.classes:
        yield f"scopes.classes.{field_class}", scopes.classes[field_class]
    part = scopes.objects.get(object_name)
    if part is not None and field_class in part.classes:
        yield f"scopes.objects.{object_name}.classes.{field_class}", part.classes[field_class]


def _scope(lines: tuple[Access, ...], paths: tuple[str, ...]) -> Scope:
    reads = [("read" in line, path) for line, path in zip(lines, paths, strict=True)]
    writes = [(_writing(line), path) for line, path in zip(lines, paths, strict=True)]
    may_read, read_line = min(reads, key=lambda item: item[0])
    writing, write_line = min(writes, key=lambda item: item[0])
    return Scope(
        may_read,
        writing,
        "" if may_read else read_line,
        "" if writing is Writing.ALWAYS else write_line,
    )


def _writing(line: Access) -> Writing:
    if "write" in line:
        return Writing.ALWAYS
    return Writing.IF_EMPTY if "write_if_empty" in line else Writing.NEVER


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A mapped field that is not read, or not written, as no scope allows it.

    Args:
        connector: account whose scope it is.
        place: path of the mapping's line in the document.
        crm_field: the CRM's name, or path, of it.
        line: path of the scope's line; empty: the default of class secret.
    """

    way: Literal["read", "write"]
    connector: str
    object: ObjectName
    field: FieldName
    crm_field: str
    place: str
    line: str

    @property
    def why(self) -> str:
        """What is said of it."""
        verb = "read" if self.way == "read" else "written"
        by = (
            f"connectors.{self.connector}.{self.line}" if self.line else "class secret, and no scope names it"
        )
        return f"{RULE}: never {verb}: {by}"
