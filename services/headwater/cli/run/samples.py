"""The shipped samples as rows, set by set. Reads package data only; what each set is stands in samples/SOURCES.md."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from string import Template
from typing import Any, Final

from headwater.cli.feed.mail import read_message
from headwater.cli.feed.mbox import cut_mbox
from headwater.cli.feed.rows import Row, Unreadable, read_moment
from headwater.cli.feed.tables import Columns, read_csv, read_jsonl

_PACKAGE: Final = "headwater.samples"
_LAST_DAY: Final = dt.datetime(2017, 12, 31, tzinfo=dt.UTC)
"""The last day of the sales set: what carries no time happened by then."""
_SALES_DATE: Final = "%d-%m-%y"


@dataclass(frozen=True, slots=True)
class SampleSet:
    """One kind of event out of one sample file.

    Args:
        name: of the set, for the progress bar and the checkpoint.
        object_name: canonical object.
        source: tells the source of a row's event.
        rows: reads the file anew at each call.
    """

    name: str
    object_name: str
    source: Callable[[Row], str]
    rows: Callable[[], Iterator[Row | Unreadable]]


def sample_sets() -> tuple[SampleSet, ...]:
    """Return every set, accounts before the deals that refer to them."""
    return (
        SampleSet("accounts", "account", lambda _: "crm_sales", _accounts),
        SampleSet("contacts", "contact", lambda row: str(row.payload["source"]), _contacts),
        SampleSet("form contacts", "contact", lambda _: "webform", lambda: _forms("contact")),
        SampleSet("leads", "lead", lambda _: "webform", lambda: _forms("submission_id")),
        SampleSet("deals", "deal", lambda _: "crm_sales", _deals),
        SampleSet("emails", "activity", lambda _: "gmail", _emails),
    )


def sample_policy(sandbox_url: str, account: str) -> str:
    """Return the demo policy for one sandbox account."""
    return Template(_text("policy.yaml")).substitute(sandbox_url=sandbox_url, account=account)


def _accounts() -> Iterator[Row | Unreadable]:
    return read_csv(_lines("accounts.csv"), Columns("account", _LAST_DAY))


def _contacts() -> Iterator[Row | Unreadable]:
    return read_csv(_lines("contacts.csv"), Columns("id", _LAST_DAY, time_column="updated_at"))


def _deals() -> Iterator[Row | Unreadable]:
    for row in read_csv(_lines("deals.csv"), Columns("opportunity_id", _LAST_DAY)):
        yield replace(row, event_time=_deal_time(row.payload)) if isinstance(row, Row) else row


def _forms(id_column: str) -> Iterator[Row | Unreadable]:
    columns = Columns("submission_id", _LAST_DAY, time_column="submitted_at")
    for row in read_jsonl(_lines("leads.jsonl"), columns):
        if isinstance(row, Unreadable):
            yield row
            continue
        payload = {**row.payload, "contact": str(row.payload["fields"]["email"]).strip().lower()}
        yield replace(row, payload=payload, external_id=payload[id_column])


def _emails() -> Iterator[Row | Unreadable]:
    content = resources.files(_PACKAGE).joinpath("emails.mbox").read_bytes()
    for raw in cut_mbox(io.BytesIO(content)):
        yield read_message(raw, "emails.mbox")


def _deal_time(payload: Mapping[str, Any]) -> dt.datetime:
    stated = payload.get("close_date") or payload.get("engage_date") or ""
    return read_moment(str(stated), _SALES_DATE) or _LAST_DAY


def _lines(name: str) -> io.StringIO:
    return io.StringIO(_text(name), newline="")


def _text(name: str) -> str:
    return resources.files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
