"""Denied calls are counted, and told at a bounded rate."""

from __future__ import annotations

import logging

import pytest

from headwater.kernel.errors import PermissionDenied
from headwater.kernel.security.denials import LINES_BURST, Denials
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
