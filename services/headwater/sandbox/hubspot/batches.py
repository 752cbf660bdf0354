"""Owns HubSpot's batch endpoints: one transaction, results in an order of HubSpot's own, 207 where items fail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.hubspot import associations, rules, writing
from headwater.sandbox.hubspot.errors import ItemError, invalid, refusal
from headwater.sandbox.hubspot.kinds import Kind, iso
from headwater.sandbox.hubspot.requests import body_of, key_property, kind_in, properties_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headwater.sandbox.desk import Desk

INPUTS_MAX = 100
Item = dict[str, Any]

_BROKEN = ItemError(500, "INTERNAL_ERROR", "internal error")


@dataclass(frozen=True, slots=True)
class _Failed:
    item: Item
    error: ItemError


def _create(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind, items = kind_in(desk, params), _inputs(desk)
    _refuse_unknown(desk, kind, items)
    outcomes = _each(desk, kind, items, lambda item: _create_one(desk, kind, item))
    # HubSpot isolates failures of a batch create only where each input carries its own objectWriteTraceId.
    traced = all(item.get("objectWriteTraceId") for item in items)
    failed = [outcome for outcome in outcomes if isinstance(outcome, _Failed)]
    if failed and not traced:
        raise refusal(desk, failed[0].error)
    return _answer(call, desk, outcomes, 201)


def _update(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind, items = kind_in(desk, params), _inputs(desk)
    _refuse_unknown(desk, kind, items)
    _refuse_twins(desk, items)
    return _answer(call, desk, _each(desk, kind, items, lambda item: _update_one(desk, kind, item)), 200)


def _upsert(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind, items = kind_in(desk, params), _inputs(desk)
    _refuse_unknown(desk, kind, items)
    _refuse_twins(desk, items)
    for name in {str(item.get("idProperty") or "") for item in items}:
        key_property(desk, kind, name)
    return _answer(call, desk, _each(desk, kind, items, lambda item: _upsert_one(desk, kind, item)), 200)


def _read(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind, body, items = kind_in(desk, params), body_of(desk), _inputs(desk)
    name = key_property(desk, kind, str(body.get("idProperty") or ""))
    wanted = [str(one) for one in body.get("properties") or ()]
    found = {
        key: writing.locate(desk, kind, key, name)
        for key in dict.fromkeys(str(item.get("id")) for item in items)
    }
    views = [writing.shown(record, kind, wanted) for record in found.values() if record is not None]
    absent = [key for key, record in found.items() if record is None]
    lost = (
        f"Could not get some {kind.word} objects, they may be deleted or not exist. Check that ids are valid."
    )
    errors = [_told(ItemError(404, "OBJECT_NOT_FOUND", lost), {"ids": absent})] if absent else []
    return _page(call, desk, views, errors, 200)


def _archive(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = kind_in(desk, params)
    for item in _inputs(desk):
        record = desk.account.records.live(kind.name, str(item.get("id")))
        if record is not None:
            writing.put_away(desk, kind, record)
    return Answer(204)


def _create_one(desk: Desk, kind: Kind, item: Item) -> Item | ItemError:
    links = associations.requested(desk, kind, item.get("associations"))
    if isinstance(links, ItemError):
        return links
    record = writing.create(desk, kind, properties_in(desk, item))
    if isinstance(record, ItemError):
        return record
    associations.keep(desk, kind, record.record_id, links)
    return _traced(writing.echoed(record, kind, None), item)


def _update_one(desk: Desk, kind: Kind, item: Item) -> Item | ItemError:
    name = key_property(desk, kind, str(item.get("idProperty") or ""))
    record = writing.locate(desk, kind, str(item.get("id")), name)
    if record is None:
        return _absent(kind)
    properties = properties_in(desk, item)
    changed = writing.update(desk, kind, record, properties)
    return (
        changed
        if isinstance(changed, ItemError)
        else _traced(writing.echoed(changed, kind, properties), item)
    )


def _upsert_one(desk: Desk, kind: Kind, item: Item) -> Item | ItemError:
    name, key = str(item.get("idProperty") or ""), str(item.get("id"))
    record = writing.locate(desk, kind, key, name)
    properties = properties_in(desk, item)
    if record is not None:
        changed = writing.update(desk, kind, record, properties)
        view = changed if isinstance(changed, ItemError) else writing.echoed(changed, kind, properties)
    elif name in {"", "hs_object_id"}:
        return _absent(kind)
    else:
        made = writing.create(desk, kind, {**properties, name: properties.get(name) or key})
        view = made if isinstance(made, ItemError) else writing.echoed(made, kind, None)
    return view if isinstance(view, ItemError) else {**_traced(view, item), "new": record is None}


def _each(
    desk: Desk, kind: Kind, items: Sequence[Item], step: Callable[[Item], Item | ItemError]
) -> list[Item | _Failed]:
    doomed = desk.call.doomed(len(items))
    outcomes: list[Item | _Failed] = []
    for index, item in enumerate(items):
        result = _BROKEN if index in doomed else step(item)
        if isinstance(result, ItemError):
            desk.refuse(kind.name, f"{result.category}: {result.message}", fields=item.get("properties"))
            outcomes.append(_Failed(item, result))
        else:
            outcomes.append(result)
    return outcomes


def _answer(call: Call, desk: Desk, outcomes: Sequence[Item | _Failed], status: int) -> Answer:
    views = [outcome for outcome in outcomes if not isinstance(outcome, _Failed)]
    errors = [_told(one.error, _context(one.item)) for one in outcomes if isinstance(one, _Failed)]
    return _page(call, desk, views, errors, status)


def _page(call: Call, desk: Desk, views: list[Item], errors: list[Item], status: int) -> Answer:
    page: Item = {
        "status": "COMPLETE",
        "results": scattered(desk, views),
        "startedAt": iso(call.now_ms),
        "completedAt": iso(call.now_ms),
    }
    if not errors:
        return Answer(status, page)
    return Answer(207, {**page, "numErrors": len(errors), "errors": errors})


def scattered(desk: Desk, views: list[Item]) -> list[Item]:
    """The results in another order than they were asked for, the same one for the same results."""
    if len(views) < 2:  # noqa: PLR2004 - one result has one order
        return views
    mixed = list(views)
    desk.shuffle(f"{views[0].get('id')}:{len(views)}").shuffle(mixed)
    return mixed if mixed != views else [*views[1:], views[0]]


def _told(error: ItemError, context: Mapping[str, list[str]]) -> Item:
    told: Item = {
        "status": "error",
        "category": error.category,
        "message": error.message,
        "context": dict(context),
    }
    return {**told, "errors": list(error.errors)} if error.errors else told


def _context(item: Item) -> dict[str, list[str]]:
    context = {"ids": [str(item["id"])]} if item.get("id") is not None else {}
    trace_id = item.get("objectWriteTraceId")
    return {**context, "objectWriteTraceId": [str(trace_id)]} if trace_id else context


def _traced(view: Item, item: Item) -> Item:
    trace_id = item.get("objectWriteTraceId")
    return {**view, "objectWriteTraceId": str(trace_id)} if trace_id else view


def _absent(kind: Kind) -> ItemError:
    lost = (
        f"Could not get some {kind.word} objects, they may be deleted or not exist. Check that ids are valid."
    )
    return ItemError(404, "OBJECT_NOT_FOUND", lost)


def _inputs(desk: Desk) -> list[Item]:
    inputs = body_of(desk).get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
        raise invalid(desk, "Invalid input JSON: Some required fields were not set: [inputs]")
    if len(inputs) > INPUTS_MAX:
        raise invalid(desk, f"The maximum number of inputs supported in a batch request is {INPUTS_MAX}")
    return inputs


def _refuse_unknown(desk: Desk, kind: Kind, items: Sequence[Item]) -> None:
    names = dict.fromkeys(name for item in items for name in properties_in(desk, item))
    error = rules.unknown(desk.account, kind, names)
    if error is not None:
        raise refusal(desk, error)


def _refuse_twins(desk: Desk, items: Sequence[Item]) -> None:
    if any(item.get("id") is None for item in items):
        raise invalid(desk, "Invalid input JSON: Some required fields were not set: [id]")
    keys = [(str(item.get("idProperty") or ""), str(item["id"]).casefold()) for item in items]
    twins = {key for key, times in Counter(keys).items() if times > 1}
    if twins:
        shown = ", ".join(sorted(key for _, key in twins))
        raise invalid(desk, f"Duplicate IDs found in batch input: [{shown}]. IDs must be unique")


ROUTES = (
    route("POST", "/crm/v3/objects/{kind}/batch/create", "batch_create", _create),
    route("POST", "/crm/v3/objects/{kind}/batch/read", "batch_read", _read),
    route("POST", "/crm/v3/objects/{kind}/batch/update", "batch_update", _update),
    route("POST", "/crm/v3/objects/{kind}/batch/upsert", "batch_upsert", _upsert),
    route("POST", "/crm/v3/objects/{kind}/batch/archive", "batch_archive", _archive),
)
