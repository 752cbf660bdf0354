"""Denied calls are counted, and told at a bounded rate."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from headwater.kernel.errors import PermissionDenied
from headwater.kernel.security.denials import HELD_MAX, LINES_BURST, OTHERS, Denials, Denied
from headwater.kernel.security.principal import Principal

ERROR = PermissionDenied("no", reason="SCOPE_MISSING")
SOMEBODY = Principal("spiffe://house/gateway", "mtls", frozenset({"acme"}), frozenset())


def test_every_denial_is_counted_and_the_log_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of a thousand writes as many lines as its burst, then a line that says how many were held back."""
    now = [0.0]
    denials = Denials(lambda: now[0])
    with caplog.at_level(logging.WARNING, "headwater.security"):
        for _ in range(1_000):
            denials.note("/service/Method", ERROR, SOMEBODY)
        assert len(caplog.records) == LINES_BURST
        now[0] = 60.0
        denials.note("/service/Method", ERROR, SOMEBODY)
    assert denials.counts["/service/Method", "SCOPE_MISSING"] == 1_001
    assert vars(caplog.records[-1])["held_back"] == 1_000 - LINES_BURST


def test_a_line_names_credential_method_and_rule(caplog: pytest.LogCaptureFixture) -> None:
    """And nothing of what the call was about."""
    with caplog.at_level(logging.WARNING, "headwater.security"):
        Denials().note("/service/Method", ERROR, SOMEBODY)
    told = vars(caplog.records[0])
    assert told["subject"] == SOMEBODY.subject
    assert told["method"] == "/service/Method"
    assert told["reason"] == "SCOPE_MISSING"
    assert told["authenticated_by"] == "mtls"


class Book:
    """A book that takes what it is given once it is open."""

    def __init__(self) -> None:
        self.is_open = False
        self.written: list[tuple[Denied, int]] = []

    async def write(self, denied: Sequence[tuple[Denied, int]]) -> bool:
        if self.is_open:
            self.written += denied
        return self.is_open


async def test_a_flood_is_one_entry_of_the_callers_tenant_and_waits_for_the_book() -> None:
    """Tenant, principal, method, rule and the tenant that was named are told, and how often."""
    denials, book = Denials(), Book()
    other = PermissionDenied("no", reason="TENANT_DENIED", metadata={"tenant_id": "globex"})
    for _ in range(1_000):
        denials.note("/service/Method", other, SOMEBODY)
    await denials.write(book)
    denials.note("/service/Method", other, SOMEBODY)
    book.is_open = True
    await denials.write(book)
    await denials.write(book)
    assert book.written == [
        (Denied("acme", SOMEBODY.subject, "/service/Method", "TENANT_DENIED", "globex"), 1_001)
    ]


def test_what_is_held_for_the_audit_is_bounded() -> None:
    """Whatever tenants a caller makes up, and beyond the bound none is lost from the count."""
    denials = Denials()
    for number in range(HELD_MAX * 3):
        error = PermissionDenied("no", reason="TENANT_DENIED", metadata={"tenant_id": f"t{number}"})
        denials.note("/service/Method", error, SOMEBODY)
    held = dict(denials.take())
    assert len(held) == HELD_MAX + 1
    assert held[Denied("acme", OTHERS, "", "")] == HELD_MAX * 2
    assert sum(held.values()) == HELD_MAX * 3


def test_who_has_no_tenant_is_counted_and_not_held() -> None:
    """Nobody's audit tells of a caller whose credential proves nothing, or that is for every tenant."""
    denials = Denials()
    denials.note("/service/Method", ERROR, None)
    denials.note("/service/Method", ERROR, Principal("x", "token", frozenset({"ALL"}), frozenset()))
    assert denials.take() == []
    assert denials.counts["/service/Method", "SCOPE_MISSING"] == 2
