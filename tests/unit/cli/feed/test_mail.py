"""Mail as it is: every message becomes a row or says why not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cli.feed.mail import PARTICIPANTS_MAX, PREVIEW_CHARS_MAX, read_message
from headwater.cli.feed.mbox import RawMessage, cut_mbox
from headwater.cli.feed.rows import Row, Unreadable

_ENVELOPE = b"From a@example.com  Thu Aug 22 12:36:23 2002\n"


def _shared() -> Path:
    named = os.environ.get("HEADWATER_SHARED")
    places = [Path(named)] if named else [parent / "shared" for parent in Path(__file__).resolve().parents]
    return next(place for place in places if (place / "data").is_dir())


def _read(content: str | bytes, envelope: bytes = _ENVELOPE) -> Row:
    row = read_message(_raw(content, envelope), "box")
    assert isinstance(row, Row)
    return row


def _raw(content: str | bytes, envelope: bytes = _ENVELOPE) -> RawMessage:
    return RawMessage(1, envelope, content if isinstance(content, bytes) else content.encode())


def test_every_message_of_a_real_archive_is_read() -> None:
    """2,365 real messages: none crashes, none is lost, each payload is JSON in UTF-8 within bounds."""
    with (_shared() / "data/email/ham.mbox").open("rb") as file:
        rows = [read_message(raw, "ham.mbox") for raw in cut_mbox(file)]
    assert len(rows) == 2365
    assert all(isinstance(row, Row) for row in rows)
    for row in rows:
        assert isinstance(row, Row)
        assert len(json.dumps(row.payload, ensure_ascii=False).encode()) < 64 * 1024
        assert 1 <= len(row.external_id) <= 255
        assert row.payload["participants"]
    assert len({row.external_id for row in rows if isinstance(row, Row)}) == 2365


def test_a_message_is_read_with_its_participants_thread_and_first_words() -> None:
    """Encoded words are decoded, addresses keep role and name, the thread is its first reference."""
    row = _read(
        "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\nTo: a@example.com, B <b@example.com>\n"
        "Cc: undisclosed-recipients:;\nSubject: =?iso-8859-1?q?caf=E9?=\n  two\nReferences: <r1@x> <r2@x>\n"
        "Message-Id: <m1@x>\nDate: Thu, 22 Aug 2002 18:26:25 +0700\n\nHello\n  there\n"
    )
    assert row.external_id == "m1@x"
    assert row.event_time.isoformat() == "2002-08-22T11:26:25+00:00"
    assert row.payload["subject"] == "café  two"
    assert row.payload["thread_id"] == "r1@x"
    assert row.payload["preview"] == "Hello there"
    assert row.payload["participants"] == [
        {"role": "from", "address": "j@example.com", "name": "Jürgen"},
        {"role": "to", "address": "a@example.com", "name": ""},
        {"role": "to", "address": "b@example.com", "name": "B"},
    ]


@pytest.mark.parametrize("date", ["", "Date: yesterday\n", "Date: Sun, 01 Oct 2028 10:00:00 +0000\n"])
def test_a_useless_date_gives_way_to_the_envelopes(date: str) -> None:
    """Missing, garbled or later than the arrival: the From_ line's time is taken, and that is noted."""
    row = _read(f"From: a@example.com\n{date}\nbody\n")
    assert (row.event_time.isoformat(), row.note) == ("2002-08-22T12:36:23+00:00", "date_from_envelope")


def test_a_message_without_any_date_is_named_unreadable() -> None:
    """It is counted with its reason, not dropped."""
    row = read_message(_raw("From: a@example.com\n\nbody\n", b"From a@example.com\n"), "box")
    assert isinstance(row, Unreadable)
    assert row.reason == "bad_date"


def test_a_message_without_an_id_gets_one_of_its_headers() -> None:
    """The same message has the same id again."""
    text = "From: a@example.com\nDate: Thu, 22 Aug 2002 18:26:25 +0700\n\nbody\n"
    assert _read(text).external_id == _read(text).external_id
    assert _read(text).external_id.startswith("sha256:")


@given(
    st.binary(max_size=600), st.sampled_from(["From", "To", "Subject", "Date", "Message-Id", "Content-Type"])
)
def test_no_header_can_crash_the_reader(junk: bytes, name: str) -> None:
    """Whatever bytes a header holds, the answer is a bounded row that encodes as UTF-8."""
    row = _read(b"%s: %s\nX: y\n\nbody\n" % (name.encode(), junk.replace(b"\n", b" ")))
    assert len(row.payload["preview"]) <= PREVIEW_CHARS_MAX
    assert len(row.payload["participants"]) <= PARTICIPANTS_MAX
    json.dumps(row.payload, ensure_ascii=False).encode()
