"""Owns field definitions: the standard ones, and custom ones whose keys nobody can guess."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.pipedrive.errors import invalid
from headwater.sandbox.pipedrive.kinds import BY_FIELDS_PATH, Kind
from headwater.sandbox.pipedrive.requests import body_of, page_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk

CREATABLE = frozenset({"varchar", "text", "double", "phone", "date", "enum", "set", "address", "int"})
NAME_CHARS_MAX = 255


def custom(account: Account, kind: Kind) -> Mapping[str, Mapping[str, Any]]:
    """The custom fields of an object by key."""
    return account.custom.get(kind.name, {})


def key_fields(account: Account, kind: Kind) -> tuple[str, ...]:
    """The fields that a search finds records by."""
    return tuple(custom(account, kind))


def _definitions(account: Account, kind: Kind) -> list[Mapping[str, Any]]:
    standard = [_definition(name, name, form, own=False) for name, form in kind.standard.items()]
    return [*standard, *custom(account, kind).values()]


def _definition(code: str, name: str, form: str, *, own: bool, options: Any = None) -> dict[str, Any]:
    return {
        "field_name": name,
        "field_code": code,
        "field_type": form,
        "description": "",
        "options": options,
        "subfields": None,
        "is_custom_field": own,
        "is_optional_response_field": False,
    }


def _list(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = BY_FIELDS_PATH[params["path"]]
    items = [(str(number), item) for number, item in enumerate(_definitions(desk.account, kind))]
    return page_of(call, [(key.zfill(6), item) for key, item in items])


def _create(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = BY_FIELDS_PATH[params["path"]]
    body = body_of(desk)
    name, form = body.get("field_name"), body.get("field_type")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS_MAX:
        raise invalid("field_name", "must be a string of 1 to 255 characters")
    if form not in CREATABLE:
        raise invalid("field_type", "is not a known type")
    offered = body.get("options") if form in {"enum", "set"} else None
    options = [{"id": number, "label": str(one["label"])} for number, one in enumerate(offered or (), 1)]
    key = hashlib.sha1(desk.new_id().encode(), usedforsecurity=False).hexdigest()
    kept = _definition(key, name, form, own=True, options=options or None)
    desk.account.add_property(kind.name, key, kept)
    return Answer(201, {"success": True, "data": kept})


ROUTES = tuple(
    made
    for path in BY_FIELDS_PATH
    for made in (
        route("GET", f"/api/v2/(?P<path>{path})", "fields", _list),
        route("POST", f"/api/v2/(?P<path>{path})", "field_create", _create),
    )
)
