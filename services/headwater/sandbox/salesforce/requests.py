"""Owns the reading of Salesforce requests: bodies, versions, field names. Refuses in the vendor's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from headwater.sandbox.call import Refusal
from headwater.sandbox.salesforce.errors import RowError, malformed, nothing_there, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.call import Call
    from headwater.sandbox.salesforce.describe import Field, Sobject

_VERSION = re.compile(r"^v(\d{2})\.0$")


def body_of(call: Call) -> dict[str, Any]:
    """The body as a JSON object, or the vendor's refusal."""
    try:
        body = call.json()
    except msgspec.DecodeError as error:
        raise malformed(f"Unexpected content: {error}") from error
    if not isinstance(body, dict):
        raise malformed("The HTTP entity body is required to be a JSON object")
    return body


def version_in(params: Mapping[str, str]) -> int:
    """The API version of the path, as 59 for v59.0."""
    found = _VERSION.match(params["version"])
    if found is None:
        raise Refusal(nothing_there(), f"no API version {params['version']}")
    return int(found[1])


def names_in(kind: Sobject, names: tuple[str, ...]) -> tuple[str, ...]:
    """The fields by their proper names, or the vendor's refusal."""
    found = [(name, kind.field(name)) for name in names]
    absent = next((name for name, one in found if one is None), None)
    if absent is not None:
        raise refusal(RowError("INVALID_FIELD", f"No such column '{absent}' on sobject of type {kind.name}"))
    return tuple(one.name for _, one in found if one is not None)


def key_field(kind: Sobject, name: str) -> Field:
    """A field that may serve as external id, or the vendor's refusal."""
    one = kind.field(name)
    if one is not None and (one.lookup or one.type == "id"):
        return one
    message = f"Provided external ID field does not exist or is not accessible: {name}"
    raise refusal(RowError("NOT_FOUND", message, (), 404))
