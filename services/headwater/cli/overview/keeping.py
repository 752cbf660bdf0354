"""How long and where a tenant's events are kept, in words for people."""

from __future__ import annotations

from headwater.ingest.v1 import ingest_pb2


def kept_words(retention: ingest_pb2.Retention) -> str:
    """Return how long the log keeps events, by whose word, and what is due."""
    if retention.days:
        words = f"{retention.days} days, by the policy"
    elif retention.log_days:
        words = f"{retention.log_days} days, as all tenants'"
    else:
        words = "for ever"
    if retention.days or retention.log_days:
        words += ", then archived" if retention.archived else ", then gone"
    if retention.oldest_day:
        words += (
            f"; {retention.kept_events:,} events in days that are over, the oldest {retention.oldest_day}"
        )
    if retention.due_events:
        words += f"; {retention.due_events:,} due"
    if retention.held_events:
        words += f", {retention.held_events:,} of them in quarantine"
    if retention.blockers:
        words += f": {'; '.join(retention.blockers)}"
    return words


def region_words(ingest: ingest_pb2.GetIngestStatusResponse) -> str:
    """Return in which region records are and where they go; empty when the policy does not say it."""
    if not ingest.HasField("residency"):
        return ""
    said = ingest.residency
    words = said.region
    if said.allowed:
        words += f", may go to {', '.join(said.allowed)}"
    elsewhere = [
        f"{name} in {region}"
        for places in (said.accounts, said.providers)
        for name, region in sorted(places.items())
        if region != said.region
    ]
    return words + (f": {', '.join(elsewhere)}" if elsewhere else "")
