"""API tokens of Headwater's own: minted, kept as hashes in one file, revoked. For set-ups without an identity provider.

A file rather than a table: services that hold no database connection can check it, it works while the database is
away, and it is spread over machines as other secrets are. The hash is plain SHA-256, since what is hashed are 256
random bits: nothing can be guessed, and nothing is gained by making the check slow.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import hmac
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from headwater.kernel.errors import InvalidInput, NotFound, StartRefused, Unauthenticated
from headwater.kernel.security.files import read_private, write_whole
from headwater.kernel.security.principal import Principal
from headwater.kernel.security.scopes import known_scopes

PREFIX: Final = "hwt"
"""Begins every token, so that scanners of source code can find those that leaked."""
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
VARIABLE: Final = "HEADWATER_TOKENS_FILE"
TOKENS_MAX: Final = 10_000


class TokenEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One token as it is kept; the token itself is not.

    Args:
        token_id: its public part.
        digest: SHA-256 of its secret part, in hex.
        subject: who has it, for the audit.
        expires_time: end of its validity; None: never.
        revoked_time: when it was taken back.
        is_person: whether a person has it.
    """

    token_id: str
    digest: str
    subject: str
    roles: tuple[str, ...]
    tenants: tuple[str, ...]
    created_time: dt.datetime
    expires_time: dt.datetime | None = None
    revoked_time: dt.datetime | None = None
    scopes: tuple[str, ...] = ()
    is_person: bool = False

    @property
    def principal(self) -> Principal:
        """Whom the token proves."""
        return Principal(
            f"token:{self.token_id}:{self.subject}",
            "token",
            frozenset(self.tenants),
            known_scopes(self.roles, self.scopes),
            self.expires_time.timestamp() if self.expires_time is not None else math.inf,
            self.is_person,
        )

    def state(self, now: dt.datetime) -> str:
        """Return `revoked`, `expired` or `valid`."""
        if self.revoked_time is not None:
            return "revoked"
        return "expired" if self.expires_time is not None and self.expires_time <= now else "valid"


class _Book(msgspec.Struct, forbid_unknown_fields=True):
    tokens: list[TokenEntry]


def is_token(text: str) -> bool:
    """Return whether *text* has the form of a token of ours."""
    return text.startswith(f"{PREFIX}_")


def mint(
    subject: str,
    *,
    roles: Sequence[str],
    tenants: Sequence[str],
    created_time: dt.datetime,
    expires_time: dt.datetime | None,
    scopes: Sequence[str] = (),
    is_person: bool = False,
) -> tuple[str, TokenEntry]:
    """Return a new token, to be shown once, and what is kept of it."""
    token_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    entry = TokenEntry(
        token_id,
        _digest(secret),
        subject,
        tuple(roles),
        tuple(tenants),
        created_time,
        expires_time,
        scopes=tuple(scopes),
        is_person=is_person,
    )
    return f"{PREFIX}_{token_id}_{secret}", entry


def check_token(text: str, book: Mapping[str, TokenEntry], now: dt.datetime) -> Principal:
    """Return whom a token proves.

    Raises:
        Unauthenticated: it is none of ours, expired or revoked; the reason says which.
    """
    _, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    entry = book.get(token_id)
    if entry is None or not hmac.compare_digest(entry.digest, _digest(secret)):
        raise Unauthenticated("no such token", reason="TOKEN_UNKNOWN")
    state = entry.state(now)
    if state != "valid":
        raise Unauthenticated(f"the token is {state}", reason=f"TOKEN_{state.upper()}")
    return entry.principal


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def read_book(path: Path) -> dict[str, TokenEntry]:
    """Return the tokens on file by id.

    Raises:
        StartRefused: the file cannot be read, is not private, or is not what `headwater tokens` writes.
    """
    try:
        book = msgspec.json.decode(read_private(path, VARIABLE), type=_Book)
    except msgspec.MsgspecError as error:
        raise StartRefused(f"{VARIABLE}={str(path)!r}: {error}", reason="SECURITY") from error
    return {entry.token_id: entry for entry in book.tokens}


class TokenFile:
    """The file as `headwater tokens` changes it: one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> dict[str, TokenEntry]:
        """Return the tokens by id; none when there is no file."""
        return read_book(self._path) if self._path.exists() else {}

    def add(self, entry: TokenEntry) -> None:
        """Keep a new token.

        Raises:
            InvalidInput: there are too many.
        """
        with self._changing() as entries:
            if len(entries) >= TOKENS_MAX:
                message = (
                    f"{TOKENS_MAX} tokens are kept already: revoke some and remove them with `tokens prune`"
                )
                raise InvalidInput(message, reason="TOO_MANY_TOKENS")
            entries[entry.token_id] = entry

    def revoke(self, token_id: str, now: dt.datetime) -> TokenEntry:
        """Take a token back; one that was taken back already keeps its time.

        Raises:
            NotFound: there is no such token.
        """
        with self._changing() as entries:
            found = entries.get(token_id)
            if found is None:
                raise NotFound(f"no token {token_id}", reason="TOKEN_UNKNOWN")
            if found.revoked_time is None:
                found = entries[token_id] = msgspec.structs.replace(found, revoked_time=now)
            return found

    def prune(self, now: dt.datetime) -> int:
        """Remove what is revoked or expired; return how many there were."""
        with self._changing() as entries:
            ended = [token_id for token_id, entry in entries.items() if entry.state(now) != "valid"]
            for token_id in ended:
                del entries[token_id]
            return len(ended)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, TokenEntry]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(f"{self._path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self.entries()
            yield entries
            content = msgspec.json.encode(_Book(list(entries.values())))
            write_whole(self._path, msgspec.json.format(content))
