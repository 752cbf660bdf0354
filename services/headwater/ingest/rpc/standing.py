"""How a tenant's log stands, as the wire's message. Pure."""

from __future__ import annotations

from headwater.ingest.rpc.translate import write_count
from headwater.ingest.usecases.reading import Standing
from headwater.ingest.v1 import ingest_pb2
from headwater.policy.residency import Residency


def write_standing(standing: Standing) -> ingest_pb2.GetIngestStatusResponse:
    """Return the message of how a log stands."""
    return ingest_pb2.GetIngestStatusResponse(
        counts=[write_count(item) for item in standing.counts],
        quarantine_open=standing.open_entries,
        retention=_retention(standing),
        residency=_residency(standing.residency) if standing.residency else None,
    )


def _retention(standing: Standing) -> ingest_pb2.Retention:
    kept = standing.kept
    message = ingest_pb2.Retention(
        days=standing.keeping.days if standing.keeping else 0,
        log_days=standing.log_days,
        archived=standing.archived,
        oldest_day=kept.oldest_day.isoformat() if kept.oldest_day else "",
        kept_events=kept.rows,
        due_days=kept.due_days,
        due_events=kept.due_rows,
        held_events=kept.held_rows,
        expired_events=kept.expired_rows,
        blockers=kept.blockers,
    )
    if kept.expire_time is not None:
        message.expire_time.FromDatetime(kept.expire_time)
    return message


def _residency(residency: Residency) -> ingest_pb2.Residency:
    return ingest_pb2.Residency(
        region=residency.region,
        allowed=residency.allowed,
        accounts=residency.accounts,
        providers=residency.providers,
    )
