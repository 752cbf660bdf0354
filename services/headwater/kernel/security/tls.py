"""The certificate that a process shows and the authorities it believes, taken up anew when the files change.

Owns reading, checking that certificate and key belong together, and the forms that gRPC and uvicorn want. TLS 1.2 is
the least: gRPC's default, stated for uvicorn.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from headwater.kernel.errors import StartRefused
from headwater.kernel.security.files import WatchedFile, read_file, read_private

_log = logging.getLogger(__name__)

_SHAPE: Final = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where they are.

    Args:
        authorities: None: callers' certificates are not looked at.
        clients_required: whether a gRPC caller must show a certificate of *authorities*.
    """

    certificate: Path
    key: Path
    authorities: Path | None = None
    clients_required: bool = True


@dataclass(frozen=True, slots=True)
class Material:
    """What was read, all of one moment."""

    certificate: bytes
    key: bytes
    authorities: bytes | None


def read_material(files: TlsFiles) -> Material:
    """Read certificate, key and authorities.

    Raises:
        StartRefused: one cannot be read, the key is not private, or does not belong to the certificate.
    """
    certificate = read_file(files.certificate, "HEADWATER_TLS_CERT")
    key = read_private(files.key, "HEADWATER_TLS_KEY")
    authorities = read_file(files.authorities, "HEADWATER_TLS_CA") if files.authorities is not None else None
    try:
        shown = x509.load_pem_x509_certificates(certificate)[0].public_key()
        own = load_pem_private_key(key, None).public_key()
        if authorities is not None:
            x509.load_pem_x509_certificates(authorities)
    except (ValueError, TypeError) as error:
        raise StartRefused(
            f"certificates in {files.certificate.parent}: {error}", reason="SECURITY"
        ) from error
    if shown.public_bytes(*_SHAPE) != own.public_bytes(*_SHAPE):
        message = f"HEADWATER_TLS_KEY={str(files.key)!r} is not the key of {files.certificate}"
        raise StartRefused(message, reason="SECURITY")
    return Material(certificate, key, authorities)


class ServerTls:
    """What a process listens with."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        watched = (files.certificate, files.key, files.authorities)
        self._watched = [WatchedFile(path) for path in watched if path is not None]
        self._material = read_material(files)
        self._heard: list[Callable[[], None]] = []
        self._pending = False
        self._offered = self._material

    def refresh(self) -> None:
        """Take up files that changed; what does not fit together yet is looked at again."""
        changed = [file.changed() for file in self._watched]
        if not any(changed) and not self._pending:
            return
        try:
            self._material = read_material(self._files)
        except StartRefused as refused:
            if not self._pending:
                _log.warning("certificates are kept as they were: %s", refused)
            self._pending = True
            return
        self._pending = False
        for heard in self._heard:
            heard()
        _log.info("certificates were taken up anew")

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return the credentials of a gRPC port; a handshake after `refresh` shows the new certificate."""
        required = self._files.clients_required and self._files.authorities is not None
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            self._changed_configuration,  # type: ignore[arg-type]  # None: as before, says gRPC's documentation
            require_client_authentication=required,
        )

    def _changed_configuration(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the certificates when they are others than at the handshake before; gRPC asks at each."""
        if self._offered is self._material:
            return None
        self._offered = self._material
        return self._configuration()

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        material = self._material
        required = self._files.clients_required
        authorities = material.authorities if required else None
        return grpc.ssl_server_certificate_configuration([(material.key, material.certificate)], authorities)

    def http_context(self) -> ssl.SSLContext:
        """Return the context of an HTTP port: callers may show a certificate, tokens do as well."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        material = self._material
        if material.authorities is not None and self._files.clients_required:
            context.load_verify_locations(cadata=material.authorities.decode("ascii"))
            context.verify_mode = ssl.CERT_OPTIONAL

        def take_up() -> None:
            context.load_cert_chain(self._files.certificate, self._files.key)

        take_up()
        self._heard.append(take_up)
        return context
