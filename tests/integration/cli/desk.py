"""The command as tests type it: by words, in an environment of the test's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from anyio.from_thread import BlockingPortal
from typer.testing import CliRunner, Result

from headwater.cli.app import app

WorldT = TypeVar("WorldT")


@dataclass(frozen=True, slots=True)
class Desk(Generic[WorldT]):
    """The command, and the world that it talks to.

    Args:
        folder: for what the test writes.
    """

    portal: BlockingPortal
    world: WorldT
    environment: dict[str, str]
    folder: Path

    def type(self, *words: object) -> Result:
        """Call the command."""
        return CliRunner().invoke(app, [str(word) for word in words], env=self.environment)

    def json(self, *words: object) -> Any:
        """Call the command for its JSON."""
        done = self.type(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def write(self, text: str) -> Path:
        """Write a policy file."""
        path = self.folder / "policy.yaml"
        path.write_text(text, encoding="utf-8")
        return path
