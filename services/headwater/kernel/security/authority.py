"""A certificate authority in a directory: makes itself, issues certificates for services and callers, renews them.

Owns the files of that directory. For machines of one's own; a company's authority or SPIRE takes its place without any
change to the services. Keys are P-256, readable by their owner alone; names, validity and use are in the certificates,
so that a renewal needs nothing but the old one.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from headwater.kernel.errors import Conflict, InvalidInput, NotFound
from headwater.kernel.ids import TENANT_PATTERN
from headwater.kernel.security.files import PUBLIC_MODE, write_whole
from headwater.kernel.security.identities import identity_of, names_of
from headwater.kernel.security.principal import EVERY_TENANT
from headwater.kernel.security.scopes import scopes_of

AUTHORITY: Final = "ca"
AUTHORITY_DAYS: Final = 3_650
DAYS_DEFAULT: Final = 90
RENEW_SHARE: Final = 3
"""A certificate is due when less than one so-many-th of its life is left."""
SKEW: Final = dt.timedelta(minutes=5)
"""Certificates begin so long ago, for clocks that are late."""
DIRECTORY_MODE: Final = 0o700
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate is to say.

    Args:
        name: of its files, and the last part of its identity.
        roles: what its holder may do, see `scopes.ROLES`.
        tenants: for whom; `EVERY_TENANT` alone for all.
        hosts: names and addresses under which its holder is called; none: it only calls.
        days: its validity.
    """

    name: str
    roles: Sequence[str]
    tenants: Sequence[str]
    hosts: Sequence[str] = ()
    days: int = DAYS_DEFAULT


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate on file."""

    name: str
    names: tuple[str, ...]
    begins_time: dt.datetime
    ends_time: dt.datetime
    serial: str

    def is_due(self, now: dt.datetime) -> bool:
        """Return whether it should be renewed."""
        return self.ends_time - now < (self.ends_time - self.begins_time) / RENEW_SHARE


class Authority:
    """The authority of one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self, trust_domain: str, now: dt.datetime) -> Issued:
        """Make the authority.

        Raises:
            Conflict: there is one; making another would shut out everybody who believes the first.
        """
        if not _DOMAIN.fullmatch(trust_domain):
            raise InvalidInput(f"{trust_domain!r} is no trust domain: letters, digits, full stops, hyphens")
        if self.certificate_path(AUTHORITY).exists():
            raise Conflict(f"an authority is in {self.directory} already", reason="AUTHORITY_EXISTS")
        self.directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Headwater authority {trust_domain}")])
        built = (
            _builder(name, name, key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]),
                critical=False,
            )
        )
        self._write(AUTHORITY, key, built.sign(key, hashes.SHA256()))
        return self.find(AUTHORITY)

    def issue(self, wanted: Wanted, now: dt.datetime) -> Issued:
        """Issue a certificate with a key of its own.

        Raises:
            InvalidInput: what is wanted cannot be said in a certificate.
            Conflict: there is one of that name; renew it.
            NotFound: there is no authority here.
        """
        _check(wanted)
        if self.certificate_path(wanted.name).exists():
            message = f"{wanted.name} has a certificate: renew it, or remove its files first"
            raise Conflict(message, reason="CERTIFICATE_EXISTS")
        identity = identity_of(self._trust_domain(), wanted.roles, wanted.tenants, wanted.name)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity), *map(_host, wanted.hosts)]
        self._sign(wanted.name, names, now, wanted.days, serves=bool(wanted.hosts))
        return self.find(wanted.name)

    def renew(self, name: str, now: dt.datetime) -> Issued:
        """Issue the certificate of *name* anew, with another key, for the same names and as long.

        Raises:
            NotFound: there is none, or no authority.
        """
        if name == AUTHORITY:
            raise InvalidInput(
                "the authority is not renewed: make another, and let both be believed for a while"
            )
        old = self._load(name)
        names = list(old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        uses = old.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        days = max(1, (old.not_valid_after_utc - old.not_valid_before_utc - SKEW).days)
        self._sign(name, names, now, days, serves=ExtendedKeyUsageOID.SERVER_AUTH in uses)
        return self.find(name)

    def find(self, name: str) -> Issued:
        """Return the certificate of *name*.

        Raises:
            NotFound: there is none.
        """
        found = self._load(name)
        begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
        return Issued(name, names_of(found), begins, ends, f"{found.serial_number:x}")

    def all(self) -> list[Issued]:
        """Return every certificate of the directory, the authority's first."""
        names = sorted(path.stem for path in self.directory.glob("*.pem") if not path.stem.endswith("-key"))
        return [self.find(name) for name in sorted(names, key=lambda name: (name != AUTHORITY, name))]

    def certificate_path(self, name: str) -> Path:
        """Return where the certificate of *name* is."""
        return self.directory / f"{name}.pem"

    def key_path(self, name: str) -> Path:
        """Return where its key is."""
        return self.directory / f"{name}-key.pem"

    def _sign(
        self, name: str, names: list[x509.GeneralName], now: dt.datetime, days: int, *, serves: bool
    ) -> None:
        authority = self._load(AUTHORITY)
        signing = load_pem_private_key(self.key_path(AUTHORITY).read_bytes(), None)
        assert isinstance(signing, ec.EllipticCurvePrivateKey)  # noqa: S101 - made here
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if serves else [])]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.SubjectKeyIdentifier.from_public_key(signing.public_key())
        built = (
            _builder(subject, authority.subject, key.public_key(), now, days, authority.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        self._write(name, key, built.sign(signing, hashes.SHA256()))

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        """Write key, then certificate: who finds a pair that does not fit looks again."""
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_whole(self.key_path(name), private)
        write_whole(self.certificate_path(name), certificate.public_bytes(Encoding.PEM), PUBLIC_MODE)

    def _load(self, name: str) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(self.certificate_path(name).read_bytes())
        except FileNotFoundError as error:
            how = (
                "make one with `headwater certs init`"
                if name == AUTHORITY
                else "`headwater certs show` lists them"
            )
            raise NotFound(f"no certificate {name} in {self.directory}: {how}") from error

    def _trust_domain(self) -> str:
        return names_of(self._load(AUTHORITY))[0].removeprefix("spiffe://")


def _check(wanted: Wanted) -> None:
    scopes_of(wanted.roles)
    tenants = [name for name in wanted.tenants if name != EVERY_TENANT and not TENANT_PATTERN.fullmatch(name)]
    if not wanted.roles or not wanted.tenants or tenants:
        raise InvalidInput("a certificate needs a role and a tenant (--tenant NAME, or --every-tenant)")
    if not _NAME.fullmatch(wanted.name) or wanted.name == AUTHORITY or wanted.name.endswith("-key"):
        raise InvalidInput(f"{wanted.name!r} is no name for a certificate: 1..63 of [a-z0-9-], not ca")
    if not 1 <= wanted.days <= AUTHORITY_DAYS:
        raise InvalidInput(f"a certificate lasts 1..{AUTHORITY_DAYS} days")


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    days: int,
    latest: dt.datetime | None = None,
) -> x509.CertificateBuilder:
    ends = now + dt.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(min(ends, latest) if latest is not None else ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if not _DOMAIN.fullmatch(text):
            raise InvalidInput(f"{text!r} is neither a host's name nor an address") from None
        return x509.DNSName(text)
