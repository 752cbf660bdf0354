"""The OpenAPI document is true: its paths are the routes, its schemas fit what is read and what is answered."""

from __future__ import annotations

import json
from http import HTTPStatus
from importlib.resources import files
from typing import Any, cast

import msgspec
from opentelemetry.trace import NoOpTracer
from starlette.routing import Route

from headwater.ingest.domain.event import Disposition, Outcome
from headwater.ingest.http import answers, json_events
from headwater.ingest.http.answers import HttpRefused, outcomes_answer, problem_answer
from headwater.ingest.http.routes import ACCEPTED, HttpDoor, HttpSettings
from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.telemetry.http import HttpServerTracing

DOCUMENT: dict[str, Any] = json.loads(files("headwater.ingest.http").joinpath("openapi.json").read_text())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
BROKEN = FieldViolation("event.source", "x", "pattern", "must be otherwise")


def _fits(name: str, value: dict[str, Any]) -> None:
    schema = SCHEMAS[name]
    assert set(schema["required"]) <= set(value) <= set(schema["properties"])


def _paths(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(_paths(item) for item in value.values()))
    return set().union(*(_paths(item) for item in value)) if isinstance(value, list) else set()


def test_every_route_is_described_and_nothing_else() -> None:
    """Paths and methods, both ways."""
    nobody = cast("Any", None)
    door = HttpDoor(nobody, nobody, HttpServerTracing(NoOpTracer()), HttpSettings(), Shutdown())
    served = {
        (route.path, method.lower())
        for route in door.application().routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert served == described


def test_references_lead_somewhere() -> None:
    """Every `$ref` of the document is in it."""
    for reference in _paths(DOCUMENT):
        current: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            current = current[part]


def test_answers_fit_their_schemas() -> None:
    """Outcomes, violations and problems as they are written."""
    answer = msgspec.json.decode(
        outcomes_answer([Outcome(Disposition.QUARANTINED, bytes(16), (BROKEN,))]).body, type=dict
    )
    _fits("Outcomes", answer)
    _fits("Outcome", answer["outcomes"][0])
    _fits("Violation", answer["outcomes"][0]["violations"][0])
    assert {item.name for item in Disposition} == set(SCHEMAS["Outcome"]["properties"]["disposition"]["enum"])
    refused = problem_answer(InvalidInput("bad", violations=(BROKEN,)), retry_after_s=1)
    _fits("Problem", msgspec.json.decode(refused.body, type=dict))


def test_every_status_of_an_error_is_described() -> None:
    """The table's and the door's own."""
    statuses = {status for _, status in answers._STATUSES} | {HTTPStatus.INTERNAL_SERVER_ERROR}  # noqa: SLF001 - the table itself
    described = {
        int(code)
        for item in DOCUMENT["paths"].values()
        for method in item.values()
        for code in method["responses"]
    }
    assert {int(status) for status in statuses} <= described
    assert issubclass(HttpRefused, Exception)


def test_bodies_that_are_read_are_described() -> None:
    """Media types, and every field of an event with its words."""
    assert set(DOCUMENT["paths"]["/v1/events"]["post"]["requestBody"]["content"]) == set(ACCEPTED)
    fields = {name for name in json_events._Event.__struct_fields__ if name.islower()}  # noqa: SLF001 - what is read
    assert set(SCHEMAS["Event"]["properties"]) == fields
    actor = SCHEMAS["Event"]["properties"]["actor"]["properties"]
    assert set(actor) == {name for name in json_events._Actor.__struct_fields__ if name.islower()}  # noqa: SLF001 - what is read
    words = {word for word in SCHEMAS["Event"]["properties"]["operation"]["enum"] if isinstance(word, str)}
    assert words == set(json_events._OPERATIONS)  # noqa: SLF001 - what is read
    kinds = {word for word in actor["type"]["enum"] if isinstance(word, str)}
    assert kinds == set(json_events._ACTORS)  # noqa: SLF001 - what is read
