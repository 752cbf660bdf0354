"""What a process shows when it calls: a certificate, a token, and whose certificates it believes. Reads files when told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from headwater.kernel.errors import StartRefused
from headwater.kernel.security.files import Stamp, read_file, read_private, stamp_of

CA, CERT, KEY = "HEADWATER_TLS_CA", "HEADWATER_TLS_CERT", "HEADWATER_TLS_KEY"
TOKEN, TOKEN_FILE = "HEADWATER_TOKEN", "HEADWATER_TOKEN_FILE"
SERVER_NAME = "HEADWATER_TLS_SERVER_NAME"


@dataclass(frozen=True, slots=True)
class ChannelSecurity:
    """How channels are made private, and what they bring. All empty: calls in the clear, without a credential.

    Args:
        ca: PEM file of the authorities that servers' certificates are checked against; with it TLS is spoken.
        cert: PEM file of the certificate shown to servers that ask for one.
        key: PEM file of its key.
        token: bearer token of every call.
        token_file: file that holds it instead; read again when it changes.
        server_name: name that the server's certificate must have, where it is not that of the address.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    token: str = ""
    token_file: str = ""
    server_name: str = ""

    def __repr__(self) -> str:
        return f"ChannelSecurity(ca={self.ca!r}, cert={self.cert!r}, token_file={self.token_file!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return what the environment says."""
        names = (CA, CERT, KEY, TOKEN, TOKEN_FILE, SERVER_NAME)
        return cls(*(environment.get(name, "").strip() for name in names))

    @property
    def brings_token(self) -> bool:
        """Whether calls bring a token."""
        return bool(self.token or self.token_file)

    def check(self) -> None:
        """Refuse halves.

        Raises:
            StartRefused: a certificate without its key or without authorities.
        """
        if bool(self.cert) != bool(self.key) or (self.cert and not self.ca):
            raise StartRefused(f"settings: {CERT}, {KEY} and {CA} go together", reason="SETTINGS")

    def stamps(self) -> tuple[Stamp | None, ...]:
        """Return what changes when the files of TLS change."""
        return tuple(stamp_of(_path(name)) for name in (self.ca, self.cert, self.key) if name)

    def material(self) -> tuple[bytes, bytes | None, bytes | None]:
        """Return authorities, key and certificate.

        Raises:
            StartRefused: one cannot be read, or everybody may read the key.
        """
        authorities = read_file(_path(self.ca), CA)
        if not self.cert:
            return authorities, None, None
        return authorities, read_private(_path(self.key), KEY), read_file(_path(self.cert), CERT)

    def token_stamp(self) -> Stamp | None:
        """Return what changes when the token's file changes."""
        return stamp_of(_path(self.token_file)) if self.token_file else None

    def token_now(self) -> str:
        """Return the token.

        Raises:
            StartRefused: its file cannot be read, or everybody may.
        """
        if not self.token_file:
            return self.token
        return read_private(_path(self.token_file), TOKEN_FILE).decode("ascii", "replace").strip()


def _path(text: str) -> Path:
    return Path(text).expanduser()
