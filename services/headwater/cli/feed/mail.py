"""From one raw message to the row of an activity. Pure; whatever the headers are, it answers.

Mail in the wild breaks every rule, and the standard library's strict header parser raises on some of it; then the
raw header is read leniently instead. Nothing is dropped silently: a message without any date is an `Unreadable`.
"""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import hashlib
import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any, Final

from headwater.cli.feed.mbox import RawMessage
from headwater.cli.feed.rows import Row, Unreadable
from headwater.kernel.ids import EXTERNAL_ID_CHARS_MAX

PREVIEW_CHARS_MAX: Final = 500
SUBJECT_CHARS_MAX: Final = 500
PARTICIPANTS_MAX: Final = 100
REFERENCES_MAX: Final = 50
DATE_AHEAD_MAX: Final = dt.timedelta(days=1)
"""How far a Date may be ahead of the From_ line, whose zone is not told."""
_ROLES: Final = (("from", "from"), ("to", "to"), ("cc", "cc"))
_BROKEN_HEADER: Final = (
    ValueError,
    IndexError,
    AttributeError,
    KeyError,
    TypeError,
    LookupError,
    HeaderParseError,
)
"""What the standard library raises on broken headers (CPython issues 81457, 78375 and their like)."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|[\ud800-\udfff]")
_MESSAGE_ID: Final = re.compile(r"<([^<>\s]+)>")


def read_message(raw: RawMessage, mailbox: str) -> Row | Unreadable:
    """Return the activity that a message is."""
    message = email.message_from_bytes(raw.content, policy=email.policy.default)
    moment, note = _sent_time(message, raw.envelope)
    if moment is None:
        stated = _header(message, "date")[:64]
        return Unreadable(raw.number, "bad_date", f"message {raw.number}: no usable date ({stated!r})")
    message_id = next(iter(_ids(_header(message, "message-id"))), "")
    references = [*_ids(_header(message, "references")), *_ids(_header(message, "in-reply-to"))]
    payload: dict[str, Any] = {
        "kind": "email",
        "subject": _header(message, "subject")[:SUBJECT_CHARS_MAX],
        "direction": "incoming",
        "time": moment.isoformat().replace("+00:00", "Z"),
        "message_id": message_id,
        "thread_id": references[0] if references else message_id,
        "references": list(dict.fromkeys(references))[:REFERENCES_MAX],
        "reference_ids": " ".join(list(dict.fromkeys(references))[:REFERENCES_MAX]),
        "participants": list(_participants(message))[:PARTICIPANTS_MAX],
        "preview": _preview(message),
        "mailbox": mailbox,
        "list_id": _header(message, "list-id"),
    }
    return Row(raw.number, _external_id(message_id, message), moment, payload, note)


def _sent_time(message: EmailMessage, envelope: bytes) -> tuple[dt.datetime | None, str]:
    """Return the Date header's moment, else the one at which the mailbox took the message in.

    A Date well after the arrival is a sender's wrong clock: nobody receives what was not sent yet.
    """
    stated = _date(_header(message, "date"))
    arrived = _envelope_time(envelope)
    if stated is not None and (arrived is None or stated <= arrived + DATE_AHEAD_MAX):
        return stated, ""
    return arrived, "date_from_envelope" if arrived else ""


def _date(text: str) -> dt.datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return aware.astimezone(dt.UTC)
    except (*_BROKEN_HEADER, OverflowError):
        return None


def _envelope_time(envelope: bytes) -> dt.datetime | None:
    parts = envelope.decode("latin-1").split()
    try:
        return dt.datetime.strptime(" ".join(parts[-5:]), "%a %b %d %H:%M:%S %Y").replace(tzinfo=dt.UTC)
    except ValueError:
        return None


def _header(message: EmailMessage, name: str) -> str:
    """Return a header decoded, on one line, without control characters; empty when there is none."""
    try:
        value = message[name]
        text = "" if value is None else str(value)
    except _BROKEN_HEADER:
        text = _lenient(_raw(message, name))
    return _clean(text)


def _raw(message: EmailMessage, name: str) -> str:
    return next((str(value) for key, value in message.raw_items() if key.lower() == name), "")


def _lenient(text: str) -> str:
    try:
        return str(make_header(decode_header(text)))
    except (*_BROKEN_HEADER, UnicodeError):
        return text


def _clean(text: str) -> str:
    """Undo folding, and leave out what no JSON text in UTF-8 may hold."""
    return _CONTROL.sub("", re.sub(r"\r?\n[ \t]*", " ", text)).strip()


def _ids(text: str) -> list[str]:
    return _MESSAGE_ID.findall(text)


def _participants(message: EmailMessage) -> Iterator[dict[str, str]]:
    """Yield each address once per role; groups such as undisclosed recipients hold none, nor is `@firm.io` one."""
    seen: set[tuple[str, str]] = set()
    for name, role in _ROLES:
        for display, address in _addresses(message, name):
            place = (role, address.lower())
            if address.find("@") > 0 and place not in seen:
                seen.add(place)
                yield {"role": role, "address": address, "name": display}


def _addresses(message: EmailMessage, name: str) -> list[tuple[str, str]]:
    try:
        parsed = [item for value in message.get_all(name, []) for item in value.addresses]
        return [(_clean(item.display_name), _clean(item.addr_spec)) for item in parsed]
    except _BROKEN_HEADER:
        values = [_lenient(str(value)) for key, value in message.raw_items() if key.lower() == name]
        return [(_clean(display), _clean(address)) for display, address in getaddresses(values)]


def _preview(message: EmailMessage) -> str:
    """Return the first words of the first plain text; never a whole message (requirement A13)."""
    part = next((item for item in message.walk() if item.get_content_type() == "text/plain"), None)
    if part is None or part.is_multipart():
        return ""
    content = part.get_payload(decode=True)
    body = content if isinstance(content, bytes) else b""
    try:
        text = body.decode(part.get_content_charset() or "utf-8", errors="replace")
    except _BROKEN_HEADER:
        text = body.decode("latin-1")
    words = " ".join(text[: PREVIEW_CHARS_MAX * 4].split())
    return _CONTROL.sub("", words)[:PREVIEW_CHARS_MAX]


def _external_id(message_id: str, message: EmailMessage) -> str:
    if message_id and len(message_id) <= EXTERNAL_ID_CHARS_MAX and message_id.isprintable():
        return message_id
    headers = "\n".join(f"{key}: {value}" for key, value in message.raw_items())
    return "sha256:" + hashlib.sha256(headers.encode("utf-8", "surrogateescape")).hexdigest()
