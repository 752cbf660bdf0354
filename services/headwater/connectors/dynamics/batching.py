"""OData $batch: many operations in one multipart body, and its answers taken apart. Pure.

Dataverse runs them in their order and answers in it; with `odata.continue-on-error` the failure of one spares the
others. Source: Dataverse, Execute batch operations using the Web API; OData 4.0, 11.7.
"""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from headwater.connectors.base.http import Answer, Content, Request

OPERATIONS_MAX: Final = 1_000
"""Operations of one batch."""

_CRLF: Final = "\r\n"
_STATUS: Final = re.compile(r"HTTP/\d\.\d (\d{3})")


@dataclass(frozen=True, slots=True)
class Operation:
    """One request within a batch.

    Args:
        path: below the environment's root, escaped.
        headers: besides those of the body.
    """

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def batch_request(api: str, operations: Sequence[Operation]) -> Request:
    """Return the call of 1..1,000 *operations*; the boundary is made of what they say."""
    texts = [_text(operation) for operation in operations]
    digest = hashlib.sha256(_CRLF.join(texts).encode()).hexdigest()[:32]
    boundary = f"batch_{digest}"
    body = "".join(_part(boundary, text) for text in texts) + f"--{boundary}--{_CRLF}"
    headers = {
        "Content-Type": f'multipart/mixed; boundary="{boundary}"',
        "Prefer": "odata.continue-on-error",
        "OData-Version": "4.0",
        "OData-MaxVersion": "4.0",
    }
    content = Content(make=lambda _token: body.encode(), headers=headers)
    return Request("POST", f"{api}/$batch", f"{api}/$batch", "write", content=content)


def read_batch(answer: Answer) -> list[Answer]:
    """Return the answers of a batch, in order; none when the body is not one."""
    content_type = answer.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/"):
        return []
    head = f"Content-Type: {content_type}{_CRLF * 2}".encode()
    whole = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + answer.body)
    parts = whole.get_payload() if whole.is_multipart() else []
    return [_answer(part.get_payload(decode=True)) for part in parts if not isinstance(part, str)]


def _text(operation: Operation) -> str:
    lines = [f"{operation.method} {operation.path} HTTP/1.1"]
    if operation.body is not None:
        lines.append("Content-Type: application/json; type=entry")
    lines.extend(f"{name}: {value}" for name, value in operation.headers.items())
    body = "" if operation.body is None else msgspec.json.encode(operation.body).decode()
    return _CRLF.join([*lines, "", body])


def _part(boundary: str, text: str) -> str:
    head = [f"--{boundary}", "Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    return _CRLF.join([*head, "", text, ""])


def _answer(raw: Any) -> Answer:
    """Return one inner answer; status 0 where it is none."""
    content = raw if isinstance(raw, bytes) else b""
    line, _, rest = content.partition(b"\r\n")
    status = _STATUS.match(line.decode("latin-1"))
    head, _, body = rest.partition(b"\r\n\r\n")
    named = (text.partition(":") for text in head.decode("latin-1").split("\r\n") if ":" in text)
    headers = {name.strip().lower(): value.strip() for name, _, value in named}
    return Answer(int(status.group(1)) if status else 0, headers, body.rstrip(b"\r\n"))
