"""API tokens: minted, kept as hashes, refused once they ended."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path

import pytest

from headwater.kernel.errors import NotFound, StartRefused, Unauthenticated
from headwater.kernel.security.tokens import TokenEntry, TokenFile, check_token, mint, read_book

NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


def _mint(days: int | None = 1) -> tuple[str, TokenEntry]:
    expires = NOW + dt.timedelta(days=days) if days is not None else None
    return mint("gateway", roles=("producer",), tenants=("acme",), created_time=NOW, expires_time=expires)


def _reason(text: str, entry: TokenEntry, now: dt.datetime = NOW) -> str:
    with pytest.raises(Unauthenticated) as refused:
        check_token(text, {entry.token_id: entry}, now)
    return refused.value.reason


def test_a_token_proves_whom_it_was_made_for() -> None:
    """Subject, tenants, scopes and end come from its entry."""
    text, entry = _mint()
    principal = check_token(text, {entry.token_id: entry}, NOW)
    assert principal.subject == f"token:{entry.token_id}:gateway"
    assert principal.tenants == {"acme"}
    assert principal.scopes == {"events:write", "identity:check"}
    assert principal.expires_s == (NOW + dt.timedelta(days=1)).timestamp()


def test_a_token_ends() -> None:
    """At its time, and when it is taken back."""
    text, entry = _mint()
    assert _reason(text, entry, NOW + dt.timedelta(days=1)) == "TOKEN_EXPIRED"
    forever, entry = _mint(days=None)
    assert check_token(forever, {entry.token_id: entry}, NOW + dt.timedelta(days=9_999)).method == "token"


def test_a_changed_secret_is_no_token() -> None:
    """Nor is one whose id is another's, or none."""
    text, entry = _mint()
    other, _ = _mint()
    assert _reason(text[:-1] + ("A" if text[-1] != "A" else "B"), entry) == "TOKEN_UNKNOWN"
    assert _reason(other, entry) == "TOKEN_UNKNOWN"
    assert _reason("hwt_", entry) == "TOKEN_UNKNOWN"
    assert _reason(f"hwt_{entry.token_id}_\udcff", entry) == "TOKEN_UNKNOWN"


def test_the_file_holds_no_secret_and_is_private(tmp_path: Path) -> None:
    """Who reads it cannot call."""
    file, (text, entry) = TokenFile(tmp_path / "tokens.json"), _mint()
    file.add(entry)
    assert stat.S_IMODE((tmp_path / "tokens.json").stat().st_mode) == 0o600
    assert text.rpartition("_")[2] not in (tmp_path / "tokens.json").read_text(encoding="utf-8")
    assert file.entries() == {entry.token_id: entry}


def test_a_file_that_everybody_reads_is_refused(tmp_path: Path) -> None:
    """And the message says what to do."""
    path = tmp_path / "tokens.json"
    TokenFile(path).add(_mint()[1])
    path.chmod(0o644)
    with pytest.raises(StartRefused, match="chmod 600"):
        read_book(path)


def test_a_revoked_token_is_refused_and_keeps_its_time(tmp_path: Path) -> None:
    """Revoking twice changes nothing; revoking what is not there is told."""
    file, (text, entry) = TokenFile(tmp_path / "tokens.json"), _mint()
    file.add(entry)
    file.revoke(entry.token_id, NOW)
    again = file.revoke(entry.token_id, NOW + dt.timedelta(hours=1))
    assert again.revoked_time == NOW
    assert _reason(text, again) == "TOKEN_REVOKED"
    with pytest.raises(NotFound):
        file.revoke("0" * 12, NOW)


def test_pruning_removes_what_ended_only(tmp_path: Path) -> None:
    """A valid token stays."""
    file = TokenFile(tmp_path / "tokens.json")
    kept, ended = _mint(days=9)[1], _mint(days=1)[1]
    file.add(kept)
    file.add(ended)
    assert file.prune(NOW + dt.timedelta(days=2)) == 1
    assert list(file.entries()) == [kept.token_id]
