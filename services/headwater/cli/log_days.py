"""Asks ingest's maintenance about the log's days: a process of its own, as every service is to the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

from headwater.cli.commands.migrate import database_of
from headwater.cli.session import Session
from headwater.kernel.errors import HeadwaterError
from headwater.kernel.pg.dsn import DATABASE_URL_VARIABLE

MAINTENANCE: Final = "headwater.ingest.maintenance"


class LogRefused(HeadwaterError):
    """The log's maintenance did not do what was asked; its reason is carried over."""

    default_reason = "LOG_REFUSED"


def ask_log(session: Session, *words: str) -> dict[str, Any]:
    """Run the maintenance on the database of the environment or of the local stack; return its answer.

    Raises:
        StartRefused: no database is named.
        LogRefused: what it said.
    """
    environment = {**session.environment, DATABASE_URL_VARIABLE: database_of(session, None)}
    done = subprocess.run(  # noqa: S603 - this interpreter, a module of ours
        [sys.executable, "-m", MAINTENANCE, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise LogRefused(done.stderr.strip()[-1000:] or f"ended with {done.returncode}") from None
    if "error" in answer:
        raise LogRefused(answer["error"]["message"], reason=answer["error"]["reason"])
    return answer
