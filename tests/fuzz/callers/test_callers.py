"""A short run: good and bad callers, every method, generated requests, three real processes."""

from __future__ import annotations

import random
from pathlib import Path

import anyio
import pytest
from tests.fuzz.callers.asking import Asking, Pool, all_methods
from tests.fuzz.callers.judging import breach_of
from tests.fuzz.callers.people import TENANTS, Caller
from tests.fuzz.callers.planting import mark
from tests.fuzz.callers.running import Pace, open_whole, run
from tests.fuzz.methods import Request

from headwater.kernel.security.table import METHODS

SEED = 20_261_122
PACE = Pace(requests=100_000, seconds=150)
"""Some 45 s alone on two cores."""
ACME = Caller("ann", "token", ("acme",), frozenset({"entities:read"}))
METHOD = next(one for one in all_methods() if one.name == "ListTimeline")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_no_caller_finds_a_fault_or_another_tenants_byte(migrated_database_url: str, tmp_path: Path) -> None:
    """Whatever they ask, however it is damaged."""
    chance = random.Random(SEED)
    with open_whole(migrated_database_url, tmp_path, chance) as whole:
        told = anyio.run(run, whole, chance, PACE, backend_options={"use_uvloop": True})
    assert told.clean, "\n".join(told.lines())
    assert told.report.requests == PACE.requests
    answered = {code.split()[0] for code in told.report.codes if code.endswith(" OK")}
    assert len(answered) > len(METHODS) / 2, sorted(answered)
    assert told.codes["PERMISSION_DENIED"] > PACE.requests / 3
    assert told.codes["UNAUTHENTICATED"] > PACE.requests / 10


def _asked(tenant_id: str) -> Request:
    message = METHOD.request(tenant_id=tenant_id)
    return Request(METHOD, message.SerializeToString(), message)


@pytest.mark.parametrize(
    ("code", "answer", "tenant_id", "breach"),
    [
        ("OK", b"", "acme", ""),
        ("OK", f"Ana {mark('acme')}".encode(), "", ""),
        ("OK", f"Ana {mark('globex')}".upper().encode(), "acme", "got bytes of globex"),
        ("NOT_FOUND", f"no {mark('globex')}".encode(), "acme", "got bytes of globex"),
        ("INTERNAL", b"", "acme", "INTERNAL"),
        ("OK", b"", "globex", "PERMISSION_DENIED is due"),
        ("UNAUTHENTICATED", b"", "acme", "was not believed"),
        ("PERMISSION_DENIED", b"", "globex", ""),
    ],
)
def test_what_an_answer_may_not_be_is_named(code: str, answer: bytes, tenant_id: str, breach: str) -> None:
    """Each rule by an answer that breaks it, beside answers that break none."""
    found = breach_of(ACME, _asked(tenant_id), code, answer)
    assert found.endswith(breach) if not breach else breach in found


def test_every_method_is_asked() -> None:
    """A hundred requests of each: none is left out."""
    asking = Asking(random.Random(SEED), Pool())
    asked = {asking.next().method.path for _ in range(100 * len(METHODS))}
    assert asked == {path for path in METHODS if path.startswith("/headwater.")}


def test_a_mark_goes_to_its_own_tenant_only() -> None:
    """Else a caller would find what another caller brought there, and call it a leak."""
    asking = Asking(random.Random(SEED), Pool())
    requests = [asking.next() for _ in range(100 * len(METHODS))]
    marked = [(one, tenant) for one in requests for tenant in TENANTS if mark(tenant).encode() in one.wire]
    assert len(marked) > len(METHODS)
    for request, tenant in marked:
        assert request.message is not None
        assert getattr(request.message, "tenant_id", "") == tenant
