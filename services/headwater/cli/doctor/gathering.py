"""Finds out what the doctor judges: asks the database, the services, the receiver of spans, and looks at this machine.

Every question has a deadline, and one that is not answered is a fact of its own. Changes nothing.
"""

from __future__ import annotations

import datetime as dt
import os
import resource
import shutil
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import grpc
import psutil
from cryptography import x509

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
from headwater.cli.policies import policy_in_force
from headwater.cli.scraping import TARGETS_DIR_VARIABLE, Page, read_pages
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.stack.state import StackState
from headwater.identity.v1 import identity_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError, NotFound, StartRefused
from headwater.kernel.metrics import names
from headwater.kernel.pg.dsn import masked
from headwater.kernel.pg.errors import SchemaFault
from headwater.kernel.pg.migrations import SERVICES, check_schema, package_of, read_migrations
from headwater.kernel.pg.rights import Rights, compare_rights, written_prefix
from headwater.kernel.pg.roles import Roles
from headwater.kernel.pg.server import read_server
from headwater.kernel.security.files import read_file
from headwater.kernel.security.grants import VARIABLE as GRANTS_VARIABLE
from headwater.kernel.security.grants import Grant, read_grants
from headwater.kernel.security.tokens import VARIABLE as TOKENS_VARIABLE
from headwater.kernel.security.tokens import TokenEntry, TokenFile
from headwater.kernel.telemetry.setup import TelemetrySettings, resolve_endpoint
from headwater.sync.v1 import sync_pb2

CONNECT_S: Final = 5.0
EXPORT_S: Final = 3.0
EXPORT_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
OVERRIDE_VARIABLE: Final = "HEADWATER_DURABILITY_OVERRIDE"
_NO: Final = frozenset({"", "0", "false", "no", "off", "f", "n"})


async def gather(session: Session, services: Services, database_url: str | Unknown, clock: Clock) -> Facts:
    """Find out everything.

    Args:
        database_url: of the services, or why it is not known.
    """
    stack = session.stack
    pages = await read_pages(_targets(session))
    answering, parked, overdue = await _services(session, services)
    return Facts(
        now=clock.now(),
        tenant_id=session.tenant_id,
        database=await _database(database_url, session, clock),
        services=answering,
        processes=_processes(stack),
        disks=(_disk("data", session.layout.data_dir),),
        tokens=_tokens(session),
        grants=_grants(session.environment),
        certificate=_certificate(session.environment),
        telemetry=await _telemetry(session.environment, stack, pages),
        policy=await _policy(session, services),
        accounts=await _accounts(session, services, pages),
        parked=parked,
        overdue=overdue,
    )


def _targets(session: Session) -> Path:
    named = session.environment.get(TARGETS_DIR_VARIABLE, "").strip()
    return Path(named) if named else session.layout.metrics


async def _database(url: str | Unknown, session: Session, clock: Clock) -> Database | Unknown:
    if isinstance(url, Unknown):
        return url
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=CONNECT_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Unknown(f"no database at {masked(url)}: {error}")
    try:
        server = await read_server(connection, clock.now)
        schemas = {service: await _schema(connection, service) for service in SERVICES}
        rights = {service: await _rights(connection, service) for service in SERVICES if not schemas[service]}
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return Unknown(f"the database at {masked(url)} does not answer: {error}")
    finally:
        await connection.close(timeout=CONNECT_S)
    versions = {service: len(read_migrations(service, package_of(service))) for service in SERVICES}
    override = session.environment.get(OVERRIDE_VARIABLE, "").strip().lower() not in _NO
    stack = session.stack
    embedded = stack is not None and stack.embedded_database and stack.database_url == url
    return Database(server, schemas, versions, rights, override, embedded)


async def _schema(connection: Any, service: str) -> str:
    try:
        await check_schema(connection, service, package_of(service))
    except SchemaFault as fault:
        return str(fault)
    return ""


async def _rights(connection: Any, service: str) -> Rights | None:
    """Return how a schema's grants compare; None where the last migrating left everything to one user."""
    prefix = await written_prefix(connection, service)
    return (
        None
        if prefix is None
        else await compare_rights(connection, service, package_of(service), Roles(prefix))
    )


async def _services(session: Session, services: Services) -> tuple[dict[str, str], str, str]:
    """Return why services do not answer, empty where they do; which events are parked; which are overdue to leave."""
    tenant_id = session.tenant_id
    ingest, no_ingest = await _asked(
        services.ask(services.ingest.GetIngestStatus, ingest_pb2.GetIngestStatusRequest(tenant_id=tenant_id))
    )
    _, no_identity = await _asked(
        services.ask(
            services.identity.GetIdentityStatus, identity_pb2.GetIdentityStatusRequest(tenant_id=tenant_id)
        )
    )
    sync, no_sync = await _asked(
        services.ask(services.sync.GetStatus, sync_pb2.GetStatusRequest(tenant_id=tenant_id))
    )
    answering = {"ingest": no_ingest, "identity": no_identity, "sync": no_sync}
    parked = f"{sync.events_parked} events wait: {sync.parked_reason}" if sync and sync.events_parked else ""
    kept = ingest.retention if ingest else ingest_pb2.Retention()
    overdue = f"{kept.due_events} events: {'; '.join(kept.blockers)}" if kept.blockers else ""
    return answering, parked, overdue


async def _asked(question: Awaitable[Any]) -> tuple[Any, str]:
    """Return the answer, and why there is none; empty when there is."""
    try:
        return await question, ""
    except HeadwaterError as error:
        return None, str(error)


def _processes(stack: StackState | None) -> tuple[Process, ...]:
    if stack is None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (Process("this shell", psutil.Process().num_fds(), _limit(soft)),)
    found = []
    for name, child in stack.children.items():
        process = child.process.find()
        tree = [] if process is None else [process, *process.children(recursive=True)]
        found += [
            one for number, item in enumerate(tree) if (one := _process(name, number, item)) is not None
        ]
    return tuple(found)


def _process(name: str, number: int, process: psutil.Process) -> Process | None:
    """Return a process's files; None of one that ended, or that is none of ours to look at."""
    try:
        soft, _ = process.rlimit(psutil.RLIMIT_NOFILE)
        return Process(f"{name}, process {number}" if number else name, process.num_fds(), _limit(soft))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _limit(soft: int) -> int:
    return 0 if soft == resource.RLIM_INFINITY else soft


def _disk(purpose: str, path: Path) -> Disk:
    there = next(place for place in (path, *path.parents) if place.exists())
    usage = shutil.disk_usage(there)
    return Disk(purpose, os.fspath(there), usage.free, usage.total)


def _tokens(session: Session) -> tuple[TokenEntry, ...] | Unknown:
    named = session.environment.get(TOKENS_VARIABLE, "").strip()
    file = Path(named or session.layout.data_dir / "tokens.json").expanduser().absolute()
    if named and not file.exists():
        return Unknown(f"{TOKENS_VARIABLE}={named!r}: there is no such file")
    try:
        return tuple(TokenFile(file).entries().values())
    except StartRefused as refused:
        return Unknown(refused.message)


def _grants(environment: Mapping[str, str]) -> Mapping[str, Grant] | Unknown:
    named = environment.get(GRANTS_VARIABLE, "").strip()
    try:
        return read_grants(Path(named)) if named else {}
    except StartRefused as refused:
        return Unknown(refused.message)


def _certificate(environment: Mapping[str, str]) -> Certificate | Unknown | None:
    named = environment.get("HEADWATER_TLS_CERT", "").strip()
    if not named:
        return None
    try:
        read = x509.load_pem_x509_certificates(read_file(Path(named), "HEADWATER_TLS_CERT"))[0]
    except (StartRefused, ValueError) as error:
        return Unknown(f"HEADWATER_TLS_CERT={named!r}: {error}")
    return Certificate(named, read.not_valid_after_utc)


async def _telemetry(
    environment: Mapping[str, str], stack: StackState | None, pages: tuple[Page, ...]
) -> Telemetry:
    own = TelemetrySettings(otlp_endpoint=stack.url("otlp") if stack else None)
    endpoint = resolve_endpoint(own, environment)
    lost = {
        page.process: sum(value for labels, value in page.of(names.SPANS) if labels["result"] != "exported")
        for page in pages
        if page.answers
    }
    if endpoint is None:
        return Telemetry("", lost=lost)
    return Telemetry(endpoint, await _export_nothing(endpoint), lost)


async def _export_nothing(endpoint: str) -> str:
    """Send an export without spans; return why it is not taken, empty when it is."""
    parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    target = parts.netloc
    secure = parts.scheme == "https"
    opened = (
        grpc.aio.secure_channel(target, grpc.ssl_channel_credentials())
        if secure
        else grpc.aio.insecure_channel(target)
    )
    async with opened as channel:
        export: Any = channel.unary_unary(EXPORT_METHOD)
        try:
            await export(b"", timeout=EXPORT_S)
        except grpc.aio.AioRpcError as error:
            return f"does not take spans: {error.code().name.lower().replace('_', ' ')}"
    return ""


async def _policy(session: Session, services: Services) -> str | Unknown:
    try:
        return (await policy_in_force(services, session.tenant_id)).document().version
    except NotFound:
        return ""
    except HeadwaterError as error:
        return Unknown(str(error))


async def _accounts(
    session: Session, services: Services, pages: tuple[Page, ...]
) -> tuple[ConnectorAccount, ...] | Unknown:
    request = sync_pb2.ListConnectorsRequest(tenant_id=session.tenant_id)
    try:
        found = await services.ask(services.sync.ListConnectors, request)
    except HeadwaterError as error:
        return Unknown(str(error))
    return tuple(
        replace(_account(item), ends=_ends(pages, session.tenant_id, item.connector))
        for item in found.connectors
    )


def _account(item: sync_pb2.Connector) -> ConnectorAccount:
    used_up = item.quota_forecast_time.ToDatetime() if item.HasField("quota_forecast_time") else None
    return ConnectorAccount(
        name=item.connector,
        held=bool(item.holder),
        paused=item.paused,
        finding=item.finding,
        breaker=item.breaker_state,
        breaker_forced=item.breaker_forced,
        quota_alert=item.quota_alert,
        quota_ends=f"{used_up:%H:%M} UTC" if used_up else "",
        owner=item.owner,
    )


def _ends(pages: tuple[Page, ...], tenant_id: str, connector: str) -> dict[str, dt.datetime]:
    """Return when the first of each kind ends; every process tells the same."""
    found: dict[str, dt.datetime] = {}
    for page in pages:
        for labels, value in page.of(names.EXPIRY):
            if (labels["tenant"], labels["connector"]) == (tenant_id, connector):
                found[labels["kind"]] = dt.datetime.fromtimestamp(value, dt.UTC)
    return found
