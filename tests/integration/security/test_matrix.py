"""The whole matrix as a test; `make test-security` prints it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.security.matrix import (
    BY_CERTIFICATE,
    BY_TOKEN,
    DOOR,
    faults,
    guarded_methods,
    run_matrix,
)

pytestmark = pytest.mark.anyio


@pytest.mark.timeout(60)
async def test_every_method_refuses_every_bad_credential(tmp_path: Path) -> None:
    """Each with its code, nothing behind a handler reached; and each lets the right credential in."""
    results = await run_matrix(tmp_path)
    assert faults(results) == []
    methods = [method for method, _ in guarded_methods()]
    doors = [case for case in (*BY_TOKEN, *BY_CERTIFICATE) if case.doors]
    assert len(results) == len(methods) * (len(BY_TOKEN) + len(BY_CERTIFICATE)) + len(doors)
    assert {one.method for one in results} == {*methods, DOOR}
