"""From facts to findings. Pure: no clock, no I/O; every threshold stands here with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headwater.cli.doctor.accounts import judge_accounts
from headwater.cli.doctor.credentials import judge_credentials
from headwater.cli.doctor.facts import Database, Facts, Unknown
from headwater.cli.doctor.findings import Finding, State
from headwater.kernel.pg.durability import judge as judge_durability

CLOCK_WARNING_S: Final = 1.0
"""Latencies are told by the database's clock, times of events by others': beyond a second both mislead."""
CLOCK_PROBLEM_S: Final = 30.0
"""Tokens and certificates of the next minute count as not yet valid."""
CONNECTIONS_MIN: Final = 40
"""One process each of ingest (10), identity (10) and sync (16), as they come, and one person who looks."""
USED_WARNING: Final = 0.8
USED_PROBLEM: Final = 0.95
FILES_MIN: Final = 1_024
DRIFTS_SHOWN: Final = 20
"""Of one schema at once."""
DISK_WARNING: Final = 0.1
DISK_PROBLEM_BYTES: Final = 1024**3
"""PostgreSQL stops at a full disk; a gibibyte is some minutes of a busy log."""


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Return every finding, check by check; what is well is named too."""
    return (
        *_database(facts),
        *_services(facts),
        *_processes(facts),
        *_disks(facts),
        *judge_credentials(facts),
        *_telemetry(facts),
        *_policy(facts),
        *_waiting(facts),
        *judge_accounts(facts),
    )


def _database(facts: Facts) -> Iterator[Finding]:
    database = facts.database
    if isinstance(database, Unknown):
        fix = "start it, or set HEADWATER_DATABASE_URL to the one that the services use"
        yield Finding("database", State.PROBLEM, database.why, fix=fix)
        return
    yield Finding("database", State.OK, f"PostgreSQL {database.server.version} answers")
    yield from _schemas(database)
    yield from _durability(database)
    yield from _clock(database)
    yield from _connections(database)
    yield from _role(database)
    yield from _rights(database)


def _schemas(database: Database) -> Iterator[Finding]:
    for service, fault in database.schemas.items():
        if fault:
            fix = "stop the services, then: headwater migrate"
            yield Finding("schema", State.PROBLEM, fault, service, fix)
        else:
            yield Finding("schema", State.OK, f"version {database.versions[service]}", service)


def _durability(database: Database) -> Iterator[Finding]:
    found: dict[str, list[str]] = {}
    for item in judge_durability(database.server.settings):
        found.setdefault(item.setting, []).append(str(item))
    for setting, told in found.items():
        seen = f"{'; '.join(told)}: acknowledged events may be lost in a crash"
        fix = f"alter system set {setting} = on; select pg_reload_conf(); and no `set` of it for role or database"
        yield Finding("durability", State.PROBLEM, seen, fix=fix)
    if not found:
        yield Finding("durability", State.OK, "a commit is on disk before it is acknowledged")
    if database.override:
        fix = "unset HEADWATER_DURABILITY_OVERRIDE unless all data may be thrown away"
        yield Finding(
            "durability",
            State.WARNING,
            "HEADWATER_DURABILITY_OVERRIDE is set: services start on a database that loses writes",
            fix=fix,
        )


def _clock(database: Database) -> Iterator[Finding]:
    server = database.server
    off_s = max(0.0, abs(server.ahead_s) - server.uncertain_s)
    way = "ahead of" if server.ahead_s > 0 else "behind"
    seen = f"the database's clock is {abs(server.ahead_s):.3f} s {way} this machine's"
    state = _above(off_s, CLOCK_WARNING_S, CLOCK_PROBLEM_S)
    fix = "let both machines take their time from NTP (chronyc tracking, timedatectl)" if state else ""
    yield Finding("clock", state, seen, fix=fix)


def _connections(database: Database) -> Iterator[Finding]:
    server = database.server
    seen = f"{server.connections_used} of {server.connections_max} connections in use"
    state = _above(server.connections_used / max(1, server.connections_max), USED_WARNING, USED_PROBLEM)
    if server.connections_max < CONNECTIONS_MIN:
        state = max(state, State.WARNING)
        seen += f"; the services want {CONNECTIONS_MIN} as they come"
    fix = (
        "raise max_connections, or lower HEADWATER_*_POOL_SIZE_MAX and the number of processes"
        if state
        else ""
    )
    yield Finding("connections", state, seen, fix=fix)


def _role(database: Database) -> Iterator[Finding]:
    server = database.server
    if database.embedded:
        yield Finding("role", State.OK, f"{server.role} owns the embedded server, which holds nothing else")
    elif server.superuser or server.creates:
        may = "is a superuser" if server.superuser else "may make roles or databases"
        fix = (
            "own the database by a role without such rights: create role headwater login; "
            "alter database … owner to headwater"
        )
        yield Finding("role", State.WARNING, f"the services' role {server.role} {may}", fix=fix)
    else:
        yield Finding("role", State.OK, f"{server.role} has no rights beyond the database")


def _rights(database: Database) -> Iterator[Finding]:
    """Say whether the roles may what was declared; a right more is as much a fault as one less."""
    for service, rights in database.rights.items():
        if rights is None:
            seen = "no roles of its own: nothing in the database keeps tenants apart, the services alone do"
            fix = "let `headwater migrate` run as a user that may make roles, with HEADWATER_DATABASE_ROLES=required"
            yield Finding("grants", State.WARNING, seen, service, fix)
        elif not rights.drifts:
            seen = f"{rights.count} rights as declared, no other"
            yield Finding("grants", State.OK, seen, service)
        for drift in () if rights is None else rights.drifts[:DRIFTS_SHOWN]:
            yield Finding("grants", State.PROBLEM, drift.found, service, f"as the owner: {drift.statement}")
        if rights is not None and (more := len(rights.drifts) - DRIFTS_SHOWN) > 0:
            seen = f"{more} further rights that are not as declared"
            yield Finding("grants", State.PROBLEM, seen, service, "put these right, then look again")


def _services(facts: Facts) -> Iterator[Finding]:
    for service, fault in facts.services.items():
        if fault:
            yield Finding("service", State.PROBLEM, fault, service, "headwater up, or see its log")
        else:
            yield Finding("service", State.OK, "answers", service)


def _processes(facts: Facts) -> Iterator[Finding]:
    for process in facts.processes:
        if not process.files_max:
            yield Finding("files", State.OK, f"{process.files_open} open, no limit", process.name)
            continue
        seen = f"{process.files_open} of {process.files_max} files open"
        state = _above(process.files_open / process.files_max, USED_WARNING, USED_PROBLEM)
        if process.files_max < FILES_MIN:
            state = max(state, State.WARNING)
            seen += f"; every connection is one, and fewer than {FILES_MIN} are allowed"
        fix = "raise the limit (ulimit -n, LimitNOFILE= of systemd) and start it again" if state else ""
        yield Finding("files", state, seen, process.name, fix)


def _disks(facts: Facts) -> Iterator[Finding]:
    for disk in facts.disks:
        share = disk.free_bytes / max(1, disk.total_bytes)
        seen = f"{disk.free_bytes / 1024**3:.1f} GiB ({share:.0%}) free at {disk.path}"
        state = State.WARNING if share < DISK_WARNING else State.OK
        state = State.PROBLEM if disk.free_bytes < DISK_PROBLEM_BYTES else state
        fix = "make room: headwater log archive and drop old days, or a larger disk" if state else ""
        yield Finding("disk", state, seen, disk.purpose, fix)


def _telemetry(facts: Facts) -> Iterator[Finding]:
    told = facts.telemetry
    if not told.endpoint:
        seen = "no endpoint is set in this environment: services started from it export no spans"
        yield Finding("telemetry", State.WARNING, seen, fix="set OTEL_EXPORTER_OTLP_ENDPOINT")
    elif told.fault:
        fix = "start the receiver, or set OTEL_EXPORTER_OTLP_ENDPOINT to one that runs; nothing but spans is lost"
        yield Finding("telemetry", State.WARNING, told.fault, told.endpoint, fix)
    else:
        yield Finding("telemetry", State.OK, "takes spans", told.endpoint)
    for process, count in told.lost.items():
        if count:
            seen = f"{count:,.0f} spans were lost since it began"
            fix = "a faster receiver, or a smaller HEADWATER_TRACE_RATIO"
            yield Finding("telemetry", State.WARNING, seen, process, fix)


def _policy(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.policy, Unknown):
        yield Finding(
            "policy", State.WARNING, f"not looked at: {facts.policy.why}", facts.tenant_id, "see `service`"
        )
    elif facts.policy:
        yield Finding("policy", State.OK, f"version {facts.policy} is in force", facts.tenant_id)
    else:
        fix = "headwater policy init policy.yaml, then: headwater policy apply policy.yaml"
        seen = "the tenant has none: nothing is projected or delivered"
        yield Finding("policy", State.WARNING, seen, facts.tenant_id, fix)


def _waiting(facts: Facts) -> Iterator[Finding]:
    if facts.parked:
        fix = "headwater vault status; what waits goes on by itself"
        yield Finding("parked", State.PROBLEM, facts.parked, facts.tenant_id, fix)
    if facts.overdue:
        seen = f"older than the policy keeps them, and still there: {facts.overdue}"
        fix = "let the reader read on: headwater status says how far sync is"
        yield Finding("retention", State.WARNING, seen, facts.tenant_id, fix)


def _above(value: float, warning: float, problem: float) -> State:
    if value >= problem:
        return State.PROBLEM
    return State.WARNING if value >= warning else State.OK
