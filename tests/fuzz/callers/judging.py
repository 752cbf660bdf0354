"""What no answer may be, whoever asks: a fault of ours, let in where it must be refused, another tenant's bytes. Pure."""

from __future__ import annotations

from typing import Any, Final

from tests.fuzz.callers.people import DENIED, TENANTS, UNKNOWN, Caller
from tests.fuzz.callers.planting import mark
from tests.fuzz.callers.speaking import BROKEN, HANGS
from tests.fuzz.methods import Request

NEVER: Final = frozenset(
    {"INTERNAL", "UNKNOWN", "DATA_LOSS", "UNIMPLEMENTED", "CANCELLED", "DEADLINE_EXCEEDED", BROKEN, HANGS}
)
"""What no request may bring about."""
UNDECODABLE: Final = frozenset({"INVALID_ARGUMENT", DENIED, UNKNOWN})
OK: Final = "OK"


def breach_of(caller: Caller, request: Request, code: str, answer: bytes) -> str:
    """Return what is wrong with an answer; empty when nothing is.

    Args:
        answer: all bytes that came back, those of an error's details too.
    """
    if code in NEVER:
        return f"{code}: {answer[:200]!r}"
    if leaked := _leaked(caller, request, answer):
        return f"{caller.tenants} got bytes of {leaked}"
    if request.message is None:
        return "" if code in UNDECODABLE else f"undecodable bytes answered {code}"
    message: Any = request.message
    refusal = caller.refusal(request.method, message.tenant_id)
    if refusal and code != refusal:
        return f"answered {code} where {refusal} is due"
    if not refusal and code == UNKNOWN:
        return "a good credential was not believed"
    return ""


def _leaked(caller: Caller, request: Request, answer: bytes) -> str:
    """Return the tenant whose mark is in an answer that is not about it; who acts for one need not name it."""
    told, asked = answer.lower(), request.wire.lower()
    about = getattr(request.message, "tenant_id", "") or (
        caller.tenants[0] if len(caller.tenants) == 1 else ""
    )
    for tenant in TENANTS:
        word = mark(tenant).encode()
        if tenant != about and word in told and word not in asked:
            return tenant
    return ""
