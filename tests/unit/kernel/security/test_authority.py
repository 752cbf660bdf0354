"""The authority: what its certificates say, and how they are renewed."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path

import pytest
from cryptography import x509

from headwater.kernel.errors import Conflict, HeadwaterError, InvalidInput, NotFound, Unauthenticated
from headwater.kernel.security.authority import AUTHORITY, Authority, Issued, Wanted
from headwater.kernel.security.grants import Grant
from headwater.kernel.security.identities import principal_of
from headwater.kernel.security.scopes import ROLES

NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
DOMAIN = "headwater.local"
PRODUCER = Wanted("gateway", ("producer", "reader"), ("acme", "globex"))


def _authority(directory: Path) -> Authority:
    authority = Authority(directory)
    authority.make(DOMAIN, NOW)
    return authority


def _certificate(authority: Authority, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.certificate_path(name).read_bytes())


def test_a_certificate_proves_the_roles_and_tenants_it_was_issued_for(tmp_path: Path) -> None:
    """They stand in its SPIFFE id."""
    authority = _authority(tmp_path)
    issued = authority.issue(PRODUCER, NOW)
    assert issued.names == ("spiffe://headwater.local/producer.reader/acme.globex/gateway",)
    principal = principal_of(_certificate(authority, "gateway"), DOMAIN, {})
    assert principal.scopes == ROLES["producer"] | ROLES["reader"]
    assert principal.tenants == {"acme", "globex"}
    assert principal.expires_s == (NOW + dt.timedelta(days=90)).timestamp()


def test_a_certificate_of_another_trust_domain_proves_nothing_by_itself(tmp_path: Path) -> None:
    """What its path says counts only where a grant names it."""
    authority = _authority(tmp_path)
    authority.issue(PRODUCER, NOW)
    certificate = _certificate(authority, "gateway")
    with pytest.raises(Unauthenticated):
        principal_of(certificate, "elsewhere.local", {})
    identity = "spiffe://headwater.local/producer.reader/acme.globex/gateway"
    grant = Grant(frozenset({"audit:read"}), frozenset({"initech"}))
    principal = principal_of(certificate, "elsewhere.local", {identity: grant})
    assert (principal.scopes, principal.tenants) == (grant.scopes, grant.tenants)


def test_a_grant_stands_above_what_a_certificate_says(tmp_path: Path) -> None:
    """One without scopes shuts its identity out before the certificate ends."""
    authority = _authority(tmp_path)
    issued = authority.issue(PRODUCER, NOW)
    nothing = Grant(frozenset(), frozenset())
    assert not principal_of(_certificate(authority, "gateway"), DOMAIN, {issued.names[0]: nothing}).scopes


def test_a_dns_name_may_be_granted(tmp_path: Path) -> None:
    """For authorities that issue no SPIFFE ids."""
    authority = _authority(tmp_path)
    authority.issue(Wanted("erp", ("reader",), ("acme",), ("erp.acme.example",)), NOW)
    grant = Grant(frozenset({"events:write"}), frozenset({"acme"}))
    principal = principal_of(_certificate(authority, "erp"), "elsewhere.local", {"erp.acme.example": grant})
    assert principal.subject == "erp.acme.example"


def test_keys_are_private(tmp_path: Path) -> None:
    """The authority's and every other."""
    authority = _authority(tmp_path)
    authority.issue(PRODUCER, NOW)
    for name in (AUTHORITY, "gateway"):
        assert stat.S_IMODE(authority.key_path(name).stat().st_mode) == 0o600


def test_a_renewal_has_the_same_names_another_key_and_a_later_end(tmp_path: Path) -> None:
    """It needs nothing but the old certificate."""
    authority = _authority(tmp_path)
    wanted = Wanted("sync", ("service",), ("ALL",), ("sync.internal", "10.1.2.3"), days=30)
    old, key = authority.issue(wanted, NOW), authority.key_path("sync").read_bytes()
    before = _certificate(authority, "sync")
    renewed = authority.renew("sync", NOW + dt.timedelta(days=25))
    after = _certificate(authority, "sync")
    assert renewed.names == old.names
    assert renewed.ends_time == old.ends_time + dt.timedelta(days=25)
    assert authority.key_path("sync").read_bytes() != key
    for kind in (x509.SubjectAlternativeName, x509.ExtendedKeyUsage):
        assert after.extensions.get_extension_for_class(kind) == before.extensions.get_extension_for_class(
            kind
        )


def test_a_certificate_is_due_in_the_last_third_of_its_life() -> None:
    """Not before, and not only once it ended."""
    issued = Issued("sync", (), NOW, NOW + dt.timedelta(days=90), "")
    assert not issued.is_due(NOW + dt.timedelta(days=59))
    assert issued.is_due(NOW + dt.timedelta(days=61))


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (Wanted("ca", ("reader",), ("acme",)), InvalidInput),
        (Wanted("../ca", ("reader",), ("acme",)), InvalidInput),
        (Wanted("gateway", (), ("acme",)), InvalidInput),
        (Wanted("gateway", ("king",), ("acme",)), InvalidInput),
        (Wanted("gateway", ("reader",), ()), InvalidInput),
        (Wanted("gateway", ("reader",), ("acme/../globex",)), InvalidInput),
        (Wanted("gateway", ("reader",), ("acme",), ("no host",)), InvalidInput),
        (Wanted("taken", ("reader",), ("acme",)), Conflict),
    ],
)
def test_what_cannot_be_certified_is_refused(
    tmp_path: Path, wanted: Wanted, kind: type[HeadwaterError]
) -> None:
    """And no file is written."""
    authority = _authority(tmp_path)
    authority.issue(Wanted("taken", ("reader",), ("acme",)), NOW)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(kind):
        authority.issue(wanted, NOW)
    assert sorted(tmp_path.iterdir()) == before


def test_a_second_authority_does_not_take_the_place_of_the_first(tmp_path: Path) -> None:
    """It would shut out everybody who believes the first."""
    authority = _authority(tmp_path)
    before = authority.certificate_path(AUTHORITY).read_bytes()
    with pytest.raises(Conflict):
        authority.make(DOMAIN, NOW)
    assert authority.certificate_path(AUTHORITY).read_bytes() == before
    with pytest.raises(NotFound, match="certs init"):
        Authority(tmp_path / "elsewhere").issue(PRODUCER, NOW)
