"""Security from settings: what is complete, what may listen where."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.security.credentials import Credentials

from headwater.kernel.errors import StartRefused
from headwater.kernel.security.calling import ChannelSecurity
from headwater.kernel.security.keys import UrlKeys, key_source
from headwater.kernel.security.places import is_loopback
from headwater.kernel.security.security import open_security
from headwater.kernel.security.settings import SecuritySettings

EVERYWHERE = "0.0.0.0:7401"


def _settings(**variables: str) -> SecuritySettings:
    return SecuritySettings.model_validate(variables)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    """What only this machine reaches is as open as this machine."""
    assert is_loopback(host)
    open_security(_settings()).check_address(f"[{host}]:1" if ":" in host else f"{host}:1")


@pytest.mark.parametrize(
    "host", [EVERYWHERE.rpartition(":")[0], "::", "10.0.0.1", "ingest.internal", "", "localhost.evil.example"]
)
def test_elsewhere_needs_tls_and_credentials(host: str, tmp_path: Path) -> None:
    """The refusal says what is missing and how to have it; with both there is none."""
    address = f"[{host}]:7401" if ":" in host else f"{host}:7401"
    with pytest.raises(StartRefused, match=r"without TLS and authentication.*headwater certs init"):
        open_security(_settings()).check_address(address)
    made = Credentials(tmp_path)
    open_security(_settings(**made.settings_of_certificates)).check_address(address)


def test_tls_alone_or_credentials_alone_are_not_enough(tmp_path: Path) -> None:
    """Either half is refused beyond loopback."""
    made = Credentials(tmp_path)
    made.token()
    pair = {name: made.settings[name] for name in ("HEADWATER_TLS_CERT", "HEADWATER_TLS_KEY")}
    with pytest.raises(StartRefused, match="without authentication"):
        open_security(_settings(**pair)).check_address(EVERYWHERE)
    tokens = {"HEADWATER_TOKENS_FILE": made.settings["HEADWATER_TOKENS_FILE"]}
    with pytest.raises(StartRefused, match="without TLS:"):
        open_security(_settings(**tokens)).check_address(EVERYWHERE)


@pytest.mark.parametrize(
    "variables",
    [
        {"HEADWATER_TLS_CERT": "cert.pem"},
        {"HEADWATER_OIDC_ISSUER": "https://login.example"},
        {"HEADWATER_TOKENS_FILE": "/no/such/file"},
        {"HEADWATER_TLS_CERT": "/no/such/file", "HEADWATER_TLS_KEY": "/no/such/file"},
    ],
)
def test_halves_and_absent_files_refuse_the_start(variables: dict[str, str]) -> None:
    """Nobody finds out by the first call."""
    with pytest.raises(StartRefused, match="HEADWATER_"):
        open_security(_settings(**variables))


def test_a_key_that_is_not_the_certificates_refuses_the_start(tmp_path: Path) -> None:
    """And so does one that everybody reads."""
    made = Credentials(tmp_path)
    foreign = made.settings | {"HEADWATER_TLS_KEY": str(made.foreign.key_path("ca"))}
    made.token()
    with pytest.raises(StartRefused, match="is not the key of"):
        open_security(_settings(**foreign))
    Path(made.settings["HEADWATER_TLS_KEY"]).chmod(0o644)
    with pytest.raises(StartRefused, match="chmod 600"):
        open_security(_settings(**made.settings))


def test_keys_come_from_a_file_or_over_https() -> None:
    """In the clear from this machine alone."""
    key_source("https://login.example/keys")
    key_source("http://127.0.0.1:1/keys")
    for url in ("http://login.example/keys", "ftp://login.example/keys"):
        with pytest.raises(StartRefused):
            key_source(url)


def test_unknown_keys_do_not_make_a_flood_of_fetches() -> None:
    """However many a caller invents, the provider is asked every ten seconds at the most."""
    now = [1_000.0]
    keys = UrlKeys("https://login.example/keys", lambda: now[0])
    assert keys.due()
    keys.note_fetch()
    assert not keys.may_fetch()
    now[0] += 10
    assert keys.may_fetch()
    assert not keys.due()
    now[0] += 290
    assert keys.due()


def test_what_a_channel_shows_is_not_printed() -> None:
    """A token never reaches a log by way of its settings."""
    assert "secret" not in repr(ChannelSecurity(token="secret"))
    with pytest.raises(StartRefused):
        ChannelSecurity(cert="cert.pem").check()
