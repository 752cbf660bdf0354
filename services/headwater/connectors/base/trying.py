"""Tries an account: whether it works, and whether what it was granted is what is read and written there.

Scopes of a policy are not known here: whoever calls says what is done with each object.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from headwater.connectors.base.errors import CallFailed
from headwater.connectors.base.flows import Authorizing
from headwater.connectors.base.port import Connector, Report
from headwater.connectors.base.registry import load_vendor
from headwater.connectors.base.scopes import GrantFit, ObjectAccess, TellsGrant, derived_scopes, fit_of

Accesses = Iterable[tuple[str, bool, bool]]
"""CRM object, whether it is read and whether it is written."""


def needed_scopes(vendor: str, accesses: Accesses) -> tuple[str, ...]:
    """Return the OAuth scopes that *accesses* need: no more, no fewer; empty where the vendor knows no OAuth.

    Raises: InvalidInput when the vendor is not installed.
    """
    loaded = load_vendor(vendor)
    if not isinstance(loaded, Authorizing):
        return ()
    return derived_scopes(loaded.oauth, [ObjectAccess(*item) for item in accesses])


async def grant_fit(vendor: str, accesses: Accesses, connector: Connector) -> GrantFit | None:
    """Return how the grant of an account fits; None where the vendor does not tell it. Raises: CallFailed."""
    loaded = load_vendor(vendor)
    if not isinstance(loaded, Authorizing) or not isinstance(connector, TellsGrant):
        return None
    granted = await connector.granted_scopes()
    return None if granted is None else fit_of(loaded.oauth, needed_scopes(vendor, accesses), granted)


async def try_account(name: str, vendor: str, accesses: Accesses, connector: Connector) -> Report:
    """Return what trying an account found, and how its grant fits; one that lacks a scope does not work."""
    report = await connector.test_connection()
    if not report.ok:
        return report
    try:
        fit = await grant_fit(vendor, accesses, connector)
    except CallFailed:
        return report
    if fit is None:
        return report
    told = tuple(fit.findings(vendor, name)) or (f"{vendor}: the grant is exactly what the policy needs",)
    return replace(report, ok=not fit.missing, findings=(*report.findings, *told))
