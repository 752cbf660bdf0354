"""Runs a command of the vault as its own process and follows it: it needs the database and the keys, the command line not.

Secrets go to it over a pipe, never as arguments or variables; none comes back.
"""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from headwater.cli.session import Session
from headwater.kernel.errors import HeadwaterError, InvalidInput
from headwater.kernel.pg.dsn import DATABASE_URL_VARIABLE

SECRET_CHARS_MAX: Final = 262_144
_END_TIMEOUT_S: Final = 10.0

Hear = Callable[[str, Any], None]
"""Told the kind and the content of each line but the last."""


class VaultFailed(HeadwaterError):
    """The vault's process refused, or ended without a result."""

    default_reason = "VAULT_FAILED"


def run_vault(
    session: Session, database_url: str, order: Mapping[str, Any], hear: Hear | None = None
) -> Mapping[str, Any]:
    """Carry out an order and return its report.

    Raises: VaultFailed.
    """
    environment = {
        **session.environment,
        DATABASE_URL_VARIABLE: database_url,
        "HEADWATER_DATA_DIR": str(session.layout.data_dir),
    }
    command = [sys.executable, "-m", "headwater.sync.vault"]
    last: Mapping[str, Any] = {}
    with _process(command, environment) as process:
        assert process.stdin is not None  # noqa: S101 - pipes were asked for
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        for line in process.stdout:
            last = json.loads(line)
            for kind, content in last.items():
                if hear and kind not in {"report", "error"}:
                    hear(kind, content)
        code = process.wait()
    if "report" in last:
        return dict(last["report"])
    if "error" in last:
        raise VaultFailed(last["error"]["message"], reason=last["error"]["reason"])
    raise VaultFailed(f"the vault's process ended with exit code {code}; calling it again is safe")


@contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a process that is ended when the caller leaves early; an interrupt reaches it only through us."""
    with subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(environment),
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(_END_TIMEOUT_S)


@contextmanager
def rewrapping(session: Session) -> Iterator[Hear]:
    """Show a bar of data keys while the block runs."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = session.output.err
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("wrapping data keys anew", total=None)

        def hear(kind: str, content: Any) -> None:
            if kind == "progress":
                bars.update(task, completed=content[0], total=content[1])

        yield hear


def asked_fields(names: Sequence[str]) -> dict[str, str]:
    """Return a secret's fields: a JSON object of texts on stdin, or what a person types unseen.

    Raises: InvalidInput.
    """
    if sys.stdin.isatty():
        typed = {name: getpass.getpass(f"{name} (empty to leave out): ") for name in names}
        return {name: value for name, value in typed.items() if value}
    text = sys.stdin.read(SECRET_CHARS_MAX)
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise InvalidInput('stdin must hold a JSON object of texts, as {"api_key": "…"}', reason="BAD_SECRET")
    return given
