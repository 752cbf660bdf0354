"""The doctor's judgements: a sound installation is called so, and each planted fault is found, with a way out."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from headwater.cli.doctor.facts import (
    Certificate,
    ConnectorAccount,
    Database,
    Disk,
    Facts,
    Process,
    Telemetry,
    Unknown,
)
from headwater.cli.doctor.findings import Finding, State, worst
from headwater.cli.doctor.judging import judge
from headwater.kernel.pg.rights import Drift, Rights
from headwater.kernel.pg.server import ServerFacts
from headwater.kernel.security.grants import Grant
from headwater.kernel.security.scopes import ROLES
from headwater.kernel.security.tokens import TokenEntry, mint

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
GIB = 1024**3
DURABLE = tuple((name, "on", "on") for name in ("fsync", "full_page_writes", "synchronous_commit"))
SERVER = ServerFacts(
    version="15.6", settings=DURABLE, ahead_s=0.01, uncertain_s=0.001, connections_max=197, connections_used=20,
    role="headwater", superuser=False, creates=False,
)  # fmt: skip
DATABASE = Database(
    SERVER, {"ingest": "", "identity": "", "sync": ""}, {"ingest": 6, "identity": 8, "sync": 17},
    {"ingest": Rights(68, ()), "identity": Rights(161, ()), "sync": Rights(437, ())},
)  # fmt: skip
ACCOUNT = ConnectorAccount("hubspot", ends={"token": NOW + dt.timedelta(days=30)})


def _token(days: float | None = 60, **more: Any) -> TokenEntry:
    given: dict[str, Any] = {"roles": ("producer",), "tenants": ("acme",), **more}
    ends = None if days is None else NOW + dt.timedelta(days=days)
    _, entry = mint("gateway", created_time=NOW - dt.timedelta(days=30), expires_time=ends, **given)
    return entry


SOUND = Facts(
    now=NOW, tenant_id="acme", database=DATABASE, services={"ingest": "", "identity": "", "sync": ""},
    processes=(Process("ingest", 50, 20_000),), disks=(Disk("data", "/data", 50 * GIB, 100 * GIB),),
    tokens=(_token(),), grants={"spiffe://x/gateway": Grant(frozenset({"events:write"}), frozenset({"acme"}))}, certificate=Certificate("/tls/cert.pem", NOW + dt.timedelta(days=60)),
    telemetry=Telemetry("http://127.0.0.1:4317", lost={"sync-1": 0.0}), policy="2026-1", accounts=(ACCOUNT,),
)  # fmt: skip


def _server(**changed: Any) -> Facts:
    return replace(SOUND, database=replace(DATABASE, server=replace(SERVER, **changed)))


def _account(**changed: Any) -> Facts:
    return replace(SOUND, accounts=(replace(ACCOUNT, **changed),))


def _worse(facts: Facts) -> list[Finding]:
    return [item for item in judge(facts) if item.state]


def test_rights_that_are_not_as_declared_are_named_with_what_puts_them_right() -> None:
    """Each with its statement, bounded; a schema without roles is a warning."""
    drifts = tuple(Drift(f"PUBLIC has CREATE on schema s{n}", f"REVOKE s{n}") for n in range(30))
    rights = {"ingest": None, "sync": Rights(400, drifts)}
    found = _worse(replace(SOUND, database=replace(DATABASE, rights=rights)))
    assert [(item.about, item.state) for item in found] == [
        ("ingest", State.WARNING),
        *[("sync", State.PROBLEM)] * 21,
    ]
    assert (found[1].found, found[1].fix) == ("PUBLIC has CREATE on schema s0", "as the owner: REVOKE s0")
    assert found[-1].found == "10 further rights that are not as declared"


def test_a_sound_installation_is_called_sound() -> None:
    """Every check says ok and asks for nothing."""
    found = judge(SOUND)
    assert worst(found) is State.OK
    assert [item.fix for item in found if item.fix] == []
    assert {item.check for item in found} == {
        "database", "schema", "durability", "clock", "connections", "role", "service", "files", "disk", "tokens", "grants",
        "certificate", "telemetry", "policy", "account",
    }  # fmt: skip


FAULTS: list[tuple[Facts, str, State, str]] = [
    (replace(SOUND, database=Unknown("no database at postgresql://db/x: refused")), "database", State.PROBLEM, "refused"),
    (replace(SOUND, database=replace(DATABASE, schemas={"sync": "sync is at 16, this release needs 17"})), "schema", State.PROBLEM, "16"),
    (_server(settings=(*DURABLE[1:], ("fsync", "off", "off"))), "durability", State.PROBLEM, "fsync is off"),
    (_server(settings=(*DURABLE[:2], ("synchronous_commit", "on", "off"))), "durability", State.PROBLEM, "synchronous_commit"),
    (replace(SOUND, database=replace(DATABASE, override=True)), "durability", State.WARNING, "OVERRIDE"),
    (_server(ahead_s=2.0), "clock", State.WARNING, "2.000 s ahead of"),
    (_server(ahead_s=-45.0), "clock", State.PROBLEM, "45.000 s behind"),
    (_server(connections_used=170), "connections", State.WARNING, "170 of 197"),
    (_server(connections_used=195), "connections", State.PROBLEM, "195 of 197"),
    (_server(connections_max=20, connections_used=5), "connections", State.WARNING, "want 40"),
    (_server(superuser=True), "role", State.WARNING, "superuser"),
    (_server(creates=True), "role", State.WARNING, "may make roles"),
    (replace(SOUND, services={"sync": "sync does not answer at 127.0.0.1:7403"}), "service", State.PROBLEM, "7403"),
    (replace(SOUND, processes=(Process("ingest", 17_000, 20_000),)), "files", State.WARNING, "17000 of 20000"),
    (replace(SOUND, processes=(Process("ingest", 1_020, 1_024),)), "files", State.PROBLEM, "1020 of 1024"),
    (replace(SOUND, processes=(Process("sync", 50, 256),)), "files", State.WARNING, "fewer than 1024"),
    (replace(SOUND, disks=(Disk("data", "/data", 5 * GIB, 100 * GIB),)), "disk", State.WARNING, "5 GiB (5%)".replace("5 GiB", "5.0 GiB")),
    (replace(SOUND, disks=(Disk("data", "/data", GIB // 2, 2 * GIB),)), "disk", State.PROBLEM, "0.5 GiB"),
    (replace(SOUND, tokens=(_token(5),)), "tokens", State.WARNING, "valid until 2026-03-06"),
    (replace(SOUND, tokens=(_token(0.5),)), "tokens", State.PROBLEM, "valid until 2026-03-02"),
    (replace(SOUND, tokens=(_token(None),)), "tokens", State.WARNING, "never ends"),
    (replace(SOUND, tokens=(_token(roles=("admin",)),)), "tokens", State.WARNING, "may do everything"),
    (replace(SOUND, tokens=(_token(tenants=("ALL",)),)), "tokens", State.WARNING, "for every tenant"),
    (replace(SOUND, tokens=Unknown("HEADWATER_TOKENS_FILE='x': readable by others")), "tokens", State.PROBLEM, "readable"),
    (replace(SOUND, grants={"alice": Grant(ROLES["admin"], frozenset({"acme"}))}), "grants", State.WARNING, "may do everything"),
    (replace(SOUND, grants={"bob": Grant(ROLES["reader"], frozenset({"ALL"}))}), "grants", State.WARNING, "for every tenant"),
    (replace(SOUND, grants=Unknown("HEADWATER_GRANTS_FILE='x': unknown role")), "grants", State.PROBLEM, "unknown role"),
    (replace(SOUND, certificate=Certificate("c.pem", NOW + dt.timedelta(days=3))), "certificate", State.WARNING, "2026-03-04"),
    (replace(SOUND, certificate=Certificate("c.pem", NOW - dt.timedelta(days=3))), "certificate", State.PROBLEM, "2026-02-26"),
    (replace(SOUND, certificate=Unknown("HEADWATER_TLS_CERT='x': no such file")), "certificate", State.PROBLEM, "no such file"),
    (replace(SOUND, telemetry=Telemetry("")), "telemetry", State.WARNING, "no endpoint"),
    (replace(SOUND, telemetry=Telemetry("http://c:4317", "does not take spans: deadline exceeded")), "telemetry", State.WARNING, "deadline"),
    (replace(SOUND, telemetry=Telemetry("http://c:4317", lost={"sync-1": 3.0})), "telemetry", State.WARNING, "3 spans"),
    (replace(SOUND, policy=""), "policy", State.WARNING, "has none"),
    (replace(SOUND, policy=Unknown("ingest does not answer")), "policy", State.WARNING, "not looked at"),
    (replace(SOUND, parked="12 events wait: the key does not open"), "parked", State.PROBLEM, "does not open"),
    (replace(SOUND, overdue="7 events: reader x has not read shard 3"), "retention", State.WARNING, "reader x"),
    (replace(SOUND, accounts=Unknown("sync does not answer")), "account", State.WARNING, "not looked at"),
    (_account(finding="the credentials are refused"), "account", State.PROBLEM, "refused"),
    (_account(held=False), "account", State.PROBLEM, "no process runs it"),
    (_account(breaker="half_open"), "account", State.PROBLEM, "half open"),
    (_account(breaker="open", breaker_forced="open"), "account", State.WARNING, "forced open"),
    (_account(paused=True), "account", State.WARNING, "paused"),
    (_account(quota_alert=True, quota_ends="17:30 UTC"), "account", State.WARNING, "17:30 UTC"),
    (_account(ends={"watch": NOW + dt.timedelta(days=6)}), "account", State.WARNING, "its watch ends 2026-03-07"),
    (_account(ends={"token": NOW - dt.timedelta(hours=1)}), "account", State.PROBLEM, "its token ended 2026-03-01"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "check", "state", "said"), FAULTS)
def test_each_planted_fault_is_found(facts: Facts, check: str, state: State, said: str) -> None:
    """One fault, one finding: of the right check, as bad as it is, in words that name it, with a way out."""
    (found,) = _worse(facts)
    assert (found.check, found.state) == (check, state)
    assert said in found.found
    assert found.fix


def test_what_is_revoked_or_expired_troubles_nobody() -> None:
    """Tokens that prove nothing any more are no danger; they are counted, so that they can be removed."""
    gone = _token(-1, roles=("admin",))
    found = judge(replace(SOUND, tokens=(gone,)))
    assert worst(found) is State.OK
    assert any("1 revoked or expired" in item.found for item in found)


def test_headwaters_own_processes_may_speak_for_others() -> None:
    """The role `service` is as broad as they need it, as token and as grant; one that never ends is told of all the same."""
    own = _token(roles=("service",), tenants=("ALL",))
    grants = {"spiffe://headwater.local/service/sync": Grant(ROLES["service"], frozenset({"ALL"}))}
    assert _worse(replace(SOUND, tokens=(own,), grants=grants)) == []
    (endless,) = _worse(replace(SOUND, tokens=(_token(None, roles=("service",), tenants=("ALL",)),)))
    assert endless.found == "broader than most need: never ends"


def test_the_embedded_servers_own_superuser_is_no_finding() -> None:
    """It holds nothing but Headwater's data."""
    embedded = replace(DATABASE, server=replace(SERVER, superuser=True), embedded=True)
    assert _worse(replace(SOUND, database=embedded)) == []


def test_a_slow_way_to_the_database_is_no_wrong_clock() -> None:
    """What the way there and back may explain is not held against the clock."""
    assert _worse(_server(ahead_s=1.5, uncertain_s=0.8)) == []


def test_no_certificate_is_well_on_loopback() -> None:
    """The services refuse to listen elsewhere without one."""
    assert _worse(replace(SOUND, certificate=None)) == []
