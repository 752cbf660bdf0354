"""What the doctor knows when it judges. Plain values; how they were found out is `gathering`'s."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from headwater.kernel.pg.rights import Rights
from headwater.kernel.pg.server import ServerFacts
from headwater.kernel.security.grants import Grant
from headwater.kernel.security.tokens import TokenEntry


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be found out.

    Args:
        why: in one sentence, no secret in it.
    """

    why: str


@dataclass(frozen=True, slots=True)
class Database:
    """The database that the services use.

    Args:
        schemas: service to what is wrong with its schema; empty where nothing is.
        versions: service to the schema version of this release.
        rights: service to how the grants and policies in its schema compare with the declared ones; None: its schema
            has no roles of its own.
        override: the operator accepts a server that may lose writes.
        embedded: the server is the local stack's own.
    """

    server: ServerFacts
    schemas: Mapping[str, str]
    versions: Mapping[str, int]
    rights: Mapping[str, Rights | None] = field(default_factory=dict)
    override: bool = False
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the local stack, or this command's own where there is none.

    Args:
        files_max: open files that it may have; 0: no limit.
    """

    name: str
    files_open: int
    files_max: int


@dataclass(frozen=True, slots=True)
class Disk:
    """Room where something is kept."""

    purpose: str
    path: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that this environment names."""

    path: str
    ends_time: dt.datetime


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where spans go.

    Args:
        endpoint: empty: nowhere.
        fault: why the receiver does not take spans; empty when it does.
        lost: process to the spans that it has dropped or failed to export since it began.
    """

    endpoint: str
    fault: str = ""
    lost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectorAccount:
    """One connector account of the tenant.

    Args:
        finding: what keeps it from being used.
        ends: kind to the moment at which a token, subscription or watch ends.
    """

    name: str
    held: bool = True
    paused: bool = False
    finding: str = ""
    breaker: str = "closed"
    breaker_forced: str = ""
    quota_alert: bool = False
    quota_ends: str = ""
    ends: Mapping[str, dt.datetime] = field(default_factory=dict)
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything.

    Args:
        services: service to why it does not answer; empty where it does.
        grants: of HEADWATER_GRANTS_FILE, by identity; none where it is not set.
        policy: version of the policy in force; empty: there is none.
        parked: how many events wait for something that the tenant lacks, and what; empty: none do.
        overdue: why events older than the tenant's retention are still in the log; empty: none are held back.
    """

    now: dt.datetime
    tenant_id: str
    database: Database | Unknown
    services: Mapping[str, str]
    processes: tuple[Process, ...]
    disks: tuple[Disk, ...]
    tokens: tuple[TokenEntry, ...] | Unknown
    grants: Mapping[str, Grant] | Unknown
    certificate: Certificate | Unknown | None
    telemetry: Telemetry
    policy: str | Unknown
    accounts: tuple[ConnectorAccount, ...] | Unknown
    parked: str = ""
    overdue: str = ""
