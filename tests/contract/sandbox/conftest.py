"""One sandbox process for every contract test of the sandbox; each test takes accounts of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.sandbox.process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox."""
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process
