"""The table of rules has every method, and nothing that is not served."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from opentelemetry.trace import NoOpTracer

import headwater
from headwater.ingest.http.routes import HttpDoor, HttpSettings
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.security.scopes import ROLES, SCOPES
from headwater.kernel.security.table import DOORS, METHODS, NOBODY, rule_of, rule_of_door
from headwater.kernel.telemetry.http import HttpServerTracing

SERVICES = Path(str(headwater.__path__[0]))
VENDORS = {"eventbus"}
"""Contracts of vendors: no service of ours serves them."""


def _methods() -> dict[str, Any]:
    """Every method of every proto of ours, by its path."""
    found: dict[str, Any] = {}
    ours = (path for path in SERVICES.glob("*/v1/*_pb2.py") if path.parent.parent.name not in VENDORS)
    for path in sorted(ours):
        module = import_module(f"headwater.{path.parent.parent.name}.v1.{path.stem}")
        for service in module.DESCRIPTOR.services_by_name.values():
            found |= {f"/{service.full_name}/{method.name}": method for method in service.methods}
    return found


def test_every_method_of_the_descriptors_has_a_rule() -> None:
    """A method that is forgotten here is denied to everybody, and this says so before anybody meets it."""
    ours = {method for method in METHODS if method.startswith("/headwater.")}
    assert len(ours) > 70
    assert ours == set(_methods())


def test_every_request_names_its_tenant_in_the_one_field_that_is_checked() -> None:
    """The door looks at `tenant_id` alone: a request without it could not be judged."""
    without = [
        path for path, method in _methods().items() if "tenant_id" not in method.input_type.fields_by_name
    ]
    assert without == []


def test_no_request_names_a_second_tenant_further_in() -> None:
    """One that did could speak of another tenant behind the checked one's back."""
    deeper = []
    for path, method in _methods().items():
        left = [field.message_type for field in method.input_type.fields if field.message_type]
        seen: set[str] = set()
        while left:
            kind = left.pop()
            if kind.full_name in seen:
                continue
            seen.add(kind.full_name)
            left += [field.message_type for field in kind.fields if field.message_type]
            if "tenant_id" in kind.fields_by_name:
                deeper.append((path, kind.full_name))
    assert deeper == []


def test_no_method_of_ours_is_public_and_every_public_door_says_why() -> None:
    """Health alone is public in gRPC; each public door of HTTP has its reason."""
    assert not [
        method for method, rule in METHODS.items() if rule.public and method.startswith("/headwater.")
    ]
    assert all(rule.reason for rule in (*METHODS.values(), *DOORS.values()) if rule.public)


def test_rules_name_scopes_that_there_are_and_that_some_role_has() -> None:
    """A misspelt scope would shut everybody out."""
    named = {scope for rule in METHODS.values() for scope in rule.scopes}
    assert named <= set(SCOPES)
    assert set(SCOPES) == frozenset().union(*ROLES.values())


def test_what_is_not_in_the_table_is_nobodys() -> None:
    """Deny by default: no scope lets anybody in."""
    assert rule_of("/headwater.sync.v1.SyncService/DropEverything") is NOBODY
    assert rule_of_door("DELETE", "/v1/events") is NOBODY
    assert not NOBODY.scopes
    assert not NOBODY.public


def test_every_route_of_the_http_door_has_a_rule() -> None:
    """Whoever adds a route has to say what it asks for."""
    part: Any = None
    door = HttpDoor(part, part, HttpServerTracing(NoOpTracer()), HttpSettings(), Shutdown())
    routes: list[Any] = list(door.application().routes)
    served = {(method, route.path) for route in routes for method in route.methods - {"HEAD"}}
    assert served == set(DOORS)
