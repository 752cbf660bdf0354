"""One capture server for every vendor's client and for ours, and the form in which requests are compared.

A request in canonical form has its method, its path without host and last slash, its query sorted, the headers that mean
something, and its body: JSON with sorted members, forms sorted, CSV as its rows, a batch as the list of its operations.
Two are equal if their bytes are.
"""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

MEANINGFUL: Final = ("authorization", "if-match", "prefer", "x-api-token")
"""Headers that are compared; a bearer token is not, whose client fetched it is not the point."""
_BOOLEANS: Final = {"True": "true", "False": "false"}
"""As clients written in Python spell them."""
_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)"?')
_OPERATION: Final = re.compile(r"(\w+) (.+) HTTP/1\.1")  # Microsoft's client escapes no spaces

Canonical = dict[str, Any]


@dataclass(slots=True)
class Capture:
    """What came over the wire, in order, and what is said to it.

    Args:
        answer: returns status, headers and JSON for a request.
    """

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    seen: list[Canonical] = field(default_factory=list)

    def answer_to(self, path: str) -> Any:
        """Return what is said at *path*: the first answer whose expression is found in it."""
        return next((body for expression, body in self.answers.items() if re.search(expression, path)), {})


@contextmanager
def capturing(answers: Mapping[str, Any]) -> Iterator[Capture]:
    """Serve one capture server on a free loopback port."""
    kept = Capture(answers=dict(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.seen.append(canonical(self.command, self.path, headers, body))
            content = json.dumps(kept.answer_to(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do_any  # noqa: N815 - names of the standard library

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def canonical(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Canonical:
    """Return a request in the form that is compared."""
    url = urlsplit(target)
    form: Canonical = {"method": method, "path": unquote(url.path).rstrip("/")}
    if url.query:
        pairs = parse_qsl(url.query, keep_blank_values=True)
        form["query"] = sorted((name, _BOOLEANS.get(value, value)) for name, value in pairs)
    told = {name: headers[name] for name in MEANINGFUL if name in headers}
    if not told.get("authorization", "Basic").startswith("Basic"):
        del told["authorization"]
    if told:
        form["headers"] = told
    if body:
        form["body"] = _body(headers.get("content-type", ""), body)
    return form


def as_bytes(form: Canonical) -> bytes:
    """Return the bytes that are compared."""
    return json.dumps(form, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _body(content_type: str, body: bytes) -> Any:
    if content_type.startswith("application/x-www-form-urlencoded"):
        return sorted(parse_qsl(body.decode(), keep_blank_values=True))
    if content_type.startswith("text/csv"):
        return list(csv.reader(io.StringIO(body.decode(), newline="")))
    if content_type.startswith("multipart/mixed"):
        found = _BOUNDARY.search(content_type)
        assert found is not None, content_type
        return [_operation(piece) for piece in body.split(b"--" + found.group(1).encode())[1:-1]]
    return json.loads(body)


def _operation(piece: bytes) -> Canonical:
    """Return one operation of a batch as a request."""
    inner = piece.partition(b"\r\n\r\n")[2].decode()
    head, _, body = inner.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    found = _OPERATION.match(first)
    assert found is not None, first
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    return canonical(found.group(1), found.group(2), headers, body.strip().encode())
