"""Security of one process put together from its settings: what it listens with, whom it believes, what it refused.

Owns reading the files at the start and again when they change. Decides nothing about a call: `access` does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio

from headwater.kernel.clock import Clock
from headwater.kernel.errors import StartRefused
from headwater.kernel.security.denials import Denials
from headwater.kernel.security.files import WatchedFile
from headwater.kernel.security.grants import read_grants
from headwater.kernel.security.places import host_of, is_loopback
from headwater.kernel.security.settings import SecuritySettings
from headwater.kernel.security.tokens import read_book

if TYPE_CHECKING:  # what only those load who ask for it: cryptography, PyJWT, httpx
    from headwater.kernel.security.authenticator import Authenticator
    from headwater.kernel.security.keys import KeySource
    from headwater.kernel.security.tls import ServerTls

HOW: Final = (
    "make certificates (headwater certs init; headwater certs issue NAME --role service) and set HEADWATER_TLS_CERT, "
    "HEADWATER_TLS_KEY and HEADWATER_TLS_CA, or with HEADWATER_TLS_CLIENTS=none take tokens (HEADWATER_TOKENS_FILE, "
    "HEADWATER_OIDC_ISSUER); or listen on loopback, as 127.0.0.1"
)
"""What to do about a refused address."""

_log = logging.getLogger(__name__)


class Security:
    """What one process needs to let callers in or not.

    Args:
        tls: None: it listens in the clear.
        authenticator: None: callers need no credential.
    """

    def __init__(
        self,
        settings: SecuritySettings,
        tls: ServerTls | None,
        authenticator: Authenticator | None,
        keys: KeySource | None = None,
    ) -> None:
        self.tls = tls
        self.authenticator = authenticator
        self.denials = Denials()
        self._settings = settings
        self._keys = keys
        paths = (settings.tokens_file, settings.grants_file)
        self._watched = [WatchedFile(path_of(path)) for path in paths if path]

    @property
    def configured(self) -> bool:
        """Whether there is anything to watch."""
        return self.tls is not None or self.authenticator is not None

    def check_address(self, address: str) -> None:
        """Refuse to listen beyond loopback without TLS and credentials.

        Raises:
            StartRefused: says what is missing and how to have it.
        """
        if is_loopback(host_of(address)):
            return
        missing = [
            word
            for word, there in (
                ("TLS", self.tls is not None),
                ("authentication", self.authenticator is not None),
            )
            if not there
        ]
        if missing:
            message = f"refusing to listen on {address!r} without {' and '.join(missing)}: {HOW}"
            raise StartRefused(message, reason="INSECURE_BIND")

    async def watch(self) -> None:
        """Take up changed files until cancelled; what cannot be read leaves everything as it was."""
        while True:
            await anyio.sleep(self._settings.security_refresh_s)
            await self.refresh()

    async def refresh(self) -> None:
        """Look at the files once."""
        if self.tls is not None:
            self.tls.refresh()
        if self.authenticator is None:
            return
        changed = [file.changed() for file in self._watched]
        if any(changed):
            self._take_up_files()
        if self._keys is not None and self._keys.due():
            await self.fetch_keys()

    async def load(self) -> None:
        """Load what takes time, before the first call.

        Raises:
            StartRefused: the keys of the identity provider cannot be had.
        """
        if self.authenticator is not None and self._keys is not None:
            trust = self.authenticator.trust
            self.authenticator.believe(replace(trust, keys=await self._keys.load()))

    async def fetch_keys_for_unknown(self) -> bool:
        """Fetch keys because a caller names one that is not known; return whether any were fetched."""
        return self._keys is not None and self._keys.may_fetch() and await self.fetch_keys()

    async def fetch_keys(self) -> bool:
        """Fetch the keys anew; return whether it worked."""
        assert self.authenticator is not None  # noqa: S101 - keys are an authenticator's
        assert self._keys is not None  # noqa: S101 - as the caller knows
        try:
            keys = await self._keys.load()
        except StartRefused as refused:
            _log.warning("keys are kept as they were: %s", refused)
            return False
        self.authenticator.believe(replace(self.authenticator.trust, keys=keys))
        return True

    def _take_up_files(self) -> None:
        assert self.authenticator is not None  # noqa: S101 - as the caller knows
        try:
            found = read_files(self._settings)
        except StartRefused as refused:
            _log.error("tokens and grants are kept as they were: %s", refused)
            return
        self.authenticator.believe(replace(self.authenticator.trust, **found))
        _log.info("tokens and grants were taken up anew")


def open_security(
    settings: SecuritySettings,
    clock: Clock | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Security:
    """Return the security that *settings* ask for.

    Raises:
        StartRefused: they are incomplete, or a file cannot be read, is not private, or is not what it should be.
    """
    _check(settings)
    if not (settings.tls_cert or settings.tokens_file or settings.oidc_issuer):
        return Security(settings, None, None)
    from headwater.kernel.security.opening import open_parts  # noqa: PLC0415 - 0.2 s and 15 MB

    tls, authenticator, keys = open_parts(settings, clock, monotonic)
    opened = Security(settings, tls, authenticator, keys)
    if authenticator is not None:
        authenticator.fetch_keys = opened.fetch_keys_for_unknown
    return opened


def check_addresses(settings: SecuritySettings, addresses: Iterable[str]) -> None:
    """Refuse to start where an address is beyond loopback without TLS and credentials; before anything is begun.

    Raises:
        StartRefused: says what is missing and how to have it.
    """
    beyond = [address for address in addresses if not is_loopback(host_of(address))]
    if beyond:
        security = open_security(settings)
        for address in beyond:
            security.check_address(address)


def read_files(settings: SecuritySettings) -> Mapping[str, Any]:
    """Return what grants and tokens say now; raises StartRefused as reading them does."""
    return {
        "grants": read_grants(path_of(settings.grants_file)) if settings.grants_file else {},
        "tokens": read_book(path_of(settings.tokens_file)) if settings.tokens_file else None,
    }


def path_of(text: str) -> Path:
    """Return the path that a setting names."""
    return Path(text).expanduser()


def _check(settings: SecuritySettings) -> None:
    pairs = (
        ("HEADWATER_TLS_CERT", settings.tls_cert, "HEADWATER_TLS_KEY", settings.tls_key),
        ("HEADWATER_OIDC_ISSUER", settings.oidc_issuer, "HEADWATER_OIDC_AUDIENCE", settings.oidc_audience),
        ("HEADWATER_OIDC_ISSUER", settings.oidc_issuer, "HEADWATER_OIDC_JWKS", settings.oidc_jwks),
    )
    faults = [
        f"{one} and {other} go together" for one, given, other, too in pairs if bool(given) != bool(too)
    ]
    if faults:
        raise StartRefused("settings: " + "; ".join(faults), reason="SETTINGS")
