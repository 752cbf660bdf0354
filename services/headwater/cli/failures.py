"""From an error to what a person reads and a script tests: one sentence, one table, one exit code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from headwater.kernel import errors
from headwater.runbooks import codes

FAILED: Final = 1
"""The command could not do it, or something stayed unexplained."""
USAGE: Final = 2
"""The command line is wrong."""
UNAVAILABLE: Final = 69
"""EX_UNAVAILABLE of sysexits.h: a service does not answer."""
TAMPERED: Final = 3
"""The audit was tampered with: nothing else ends so."""
CONFIG: Final = 78
"""EX_CONFIG of sysexits.h: settings or set-up are wrong."""
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it."""

_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (errors.StartRefused, CONFIG),
    (errors.Unavailable, UNAVAILABLE),
    (errors.Overloaded, UNAVAILABLE),
    (errors.HeadwaterError, FAILED),
    (OSError, FAILED),
)

EXPECTED: Final = (errors.HeadwaterError, OSError)
"""What a command may raise and people may cause; anything else is a defect and shows its traceback."""


def exit_code(error: BaseException) -> int:
    """Return the exit code that *error* ends the command with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def as_json(error: BaseException) -> dict[str, Any]:
    """Return *error* as a JSON object, for `--json`."""
    facts: dict[str, Any] = {"message": sentence(error), "exit_code": exit_code(error)}
    if isinstance(error, errors.HeadwaterError):
        facts |= {"reason": error.reason, "metadata": error.metadata, "runbook": runbook(error)}
    if isinstance(error, errors.InvalidInput):
        facts["violations"] = [
            {"field": item.field, "value": item.value, "rule": item.rule, "description": item.description}
            for item in error.violations
        ]
    return {"error": facts}


def runbook(error: BaseException) -> str:
    """Return the command that shows what to do: its reason's page, else that of its class; empty where none is known."""
    if not isinstance(error, errors.HeadwaterError):
        return ""
    return f"headwater runbook {error.reason}" if error.reason in codes() else error.runbook


def sentence(error: BaseException) -> str:
    """Return the one sentence that tells what is wrong."""
    if isinstance(error, errors.HeadwaterError):
        return f"{error.message} [{error.reason}]" if error.reason != error.default_reason else error.message
    return str(error)


def expected_leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors inside task groups' wrappings."""
    if isinstance(error, BaseExceptionGroup):
        for item in error.exceptions:
            yield from expected_leaves(item)
    else:
        yield error
