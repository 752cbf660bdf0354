"""Findings about the tenant's connector accounts. Pure, as `judging`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headwater.cli.doctor.facts import ConnectorAccount, Facts, Unknown
from headwater.cli.doctor.findings import Finding, State, ending

CHECK: Final = "account"


def judge_accounts(facts: Facts) -> Iterator[Finding]:
    """Yield what is to be said of each account; one that is well is named once."""
    if isinstance(facts.accounts, Unknown):
        yield Finding(CHECK, State.WARNING, f"not looked at: {facts.accounts.why}", fix="see `service`")
        return
    if not facts.accounts:
        yield Finding(CHECK, State.OK, "the tenant has none")
    for account in facts.accounts:
        found = [*_standing(account), *_ends(account, facts)]
        yield from found or [Finding(CHECK, State.OK, "works", account.name)]


def _standing(account: ConnectorAccount) -> Iterator[Finding]:
    name = account.name
    if account.finding:
        fix = f"headwater test-connection {name}; credentials: headwater vault set, or the variable that the policy names"
        yield Finding(CHECK, State.PROBLEM, account.finding, name, fix)
    elif not account.held:
        fix = "start sync, or more processes of it; what is due waits"
        yield Finding(CHECK, State.PROBLEM, "no process runs it", name, fix)
    if account.breaker_forced:
        fix = f"headwater connectors breaker {name} reset --yes"
        yield Finding(CHECK, State.WARNING, f"its breaker is forced {account.breaker_forced}", name, fix)
    elif account.breaker != "closed":
        fix = f"headwater errors list; headwater runbook HeadwaterBreakerOpen; owner: {account.owner or 'unknown'}"
        yield Finding(CHECK, State.PROBLEM, f"its breaker is {account.breaker.replace('_', ' ')}", name, fix)
    if account.paused:
        fix = f"headwater connectors resume {name}"
        yield Finding(CHECK, State.WARNING, "an operator has paused it", name, fix)
    if account.quota_alert:
        until = f", which is used up {account.quota_ends}" if account.quota_ends else ""
        fix = "headwater runbook HeadwaterQuotaHigh: fewer calls, or a larger quota"
        yield Finding(CHECK, State.WARNING, f"much of the day's quota is used{until}", name, fix)


def _ends(account: ConnectorAccount, facts: Facts) -> Iterator[Finding]:
    for kind, ends in sorted(account.ends.items()):
        state = ending(ends, facts.now)
        if not state:
            continue
        seen = f"its {kind} {'ended' if ends <= facts.now else 'ends'} {ends:%Y-%m-%d %H:%M} UTC"
        fix = f"headwater runbook HeadwaterTokenEnds{'Now' if state is State.PROBLEM else 'Soon'}"
        yield Finding(CHECK, state, seen, account.name, fix)
