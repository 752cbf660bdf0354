"""Findings about who may call: tokens, grants, the certificate. Pure, as `judging`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator

from headwater.cli.doctor.facts import Certificate, Facts, Unknown
from headwater.cli.doctor.findings import Finding, State, ending
from headwater.kernel.security.scopes import ROLES, breadth
from headwater.kernel.security.tokens import TokenEntry


def judge_credentials(facts: Facts) -> Iterator[Finding]:
    """Yield what is to be said of each token, of grants that are broad, and of the certificate."""
    yield from _tokens(facts)
    yield from _grants(facts)
    yield from _certificate(facts)


def _tokens(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.tokens, Unknown):
        yield Finding("tokens", State.PROBLEM, facts.tokens.why, fix="headwater tokens list says more")
        return
    standing = [entry for entry in facts.tokens if entry.state(facts.now) == "valid"]
    for entry in standing:
        yield from _token(entry, facts.now)
    if ended := len(facts.tokens) - len(standing):
        seen = f"{ended} revoked or expired tokens are still on file"
        yield Finding("tokens", State.OK, f"{seen}: headwater tokens prune removes them")
    if not facts.tokens:
        yield Finding("tokens", State.OK, "there are none")


def _token(entry: TokenEntry, now: dt.datetime) -> Iterator[Finding]:
    who = f"{entry.subject} ({entry.token_id})"
    broad = _broad(entry.principal.scopes, entry.tenants, ends=entry.expires_time is not None)
    if broad:
        fix = (
            f"make a narrower one (headwater tokens create {entry.subject} --role … --tenant …), "
            f"then: headwater tokens revoke {entry.token_id}"
        )
        yield Finding("tokens", State.WARNING, f"broader than most need: {', '.join(broad)}", who, fix)
    if entry.expires_time is None:
        return
    state = ending(entry.expires_time, now)
    fix = f"headwater tokens create {entry.subject} …, hand it over, revoke this one" if state else ""
    if state or not broad:
        yield Finding("tokens", state, f"valid until {_shown(entry.expires_time)}", who, fix)


def _grants(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.grants, Unknown):
        yield Finding(
            "grants", State.PROBLEM, facts.grants.why, fix="put the file right; services do not start with it"
        )
        return
    broad = {name: _broad(one.scopes, one.tenants, ends=True) for name, one in facts.grants.items()}
    for identity, told in broad.items():
        if told:
            fix = "name the roles and the one tenant that it needs in HEADWATER_GRANTS_FILE"
            yield Finding(
                "grants", State.WARNING, f"broader than most need: {', '.join(told)}", identity, fix
            )
    if not any(broad.values()):
        yield Finding("grants", State.OK, f"{len(broad)} on file, none of them broad")


def _broad(scopes: Collection[str], tenants: Collection[str], *, ends: bool) -> tuple[str, ...]:
    """Return what is broader than needed; Headwater's own processes speak for others, and for every tenant."""
    if frozenset(scopes) == ROLES["service"]:
        return () if ends else ("never ends",)
    return breadth(scopes, tenants, ends=ends)


def _certificate(facts: Facts) -> Iterator[Finding]:
    match facts.certificate:
        case None:
            yield Finding("certificate", State.OK, "none is set: loopback only")
        case Unknown(why):
            fix = "set HEADWATER_TLS_CERT, HEADWATER_TLS_KEY and HEADWATER_TLS_CA; headwater certs show lists them"
            yield Finding("certificate", State.PROBLEM, why, fix=fix)
        case Certificate(path, ends_time):
            state = ending(ends_time, facts.now)
            fix = "headwater certs renew, every day" if state else ""
            yield Finding("certificate", state, f"valid until {_shown(ends_time)}", path, fix)


def _shown(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
