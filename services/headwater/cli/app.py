"""The tree of commands. Imports nothing heavy: a command's own module is imported when it is called.

`headwater --help` therefore knows the commands from the table below, in well under half a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

_RUN: Final = "Run it here"
_LOOK: Final = "Look"
_STEER: Final = "Steer"
_FEED: Final = "Feed"

COMMANDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("run", _RUN, "Feed the shipped samples through everything and account for every event."),
    ("up", _RUN, "Start the local stack and leave it running."),
    ("down", _RUN, "End the local stack."),
    ("migrate", _RUN, "Bring the database's schemas to this release."),
    ("ingest", _FEED, "Record a file's rows as events: mbox, ics, csv or jsonl."),
    (
        "import",
        _FEED,
        "Record a CSV or JSON lines file that somebody made: encoding found out, bad rows kept.",
    ),
    ("load", _FEED, "Send made-up events, measure the answers, account for every one."),
    ("status", _LOOK, "One screen, live: the five numbers, queues, breakers, quota, what failed last."),
    ("doctor", _LOOK, "What is wrong with this installation, and how to put it right."),
    ("event", _LOOK, "One event and its whole fate."),
    ("why", _LOOK, "Why an entity shows a value: winner, losers, rule, what each CRM holds."),
    ("timeline", _LOOK, "What happened with a contact, an account or a deal, newest first: filter, export."),
    ("attribution", _LOOK, "First, last and multi-touch credit: of one entity, or all touches recomputed."),
    ("quality", _LOOK, "How complete, valid, fresh and free of duplicates the records are."),
    ("routing", _LOOK, "Who was given which lead, and why: init, show, what-if, loads."),
    ("sla", _LOOK, "How soon leads are looked after: timers, breaches, percentiles."),
    ("trace", _LOOK, "One event's way from the producer to the CRMs, as a waterfall."),
    (
        "connectors",
        _STEER,
        "What can be connected, and the CRM accounts: list, accounts, pause, resume, breaker.",
    ),
    ("connector", _STEER, "Write a connector of your own: new makes one with its tests."),
    ("test-connection", _STEER, "Try a connector account and say what is wrong with it."),
    ("connect", _STEER, "Let Headwater use an account of a CRM: agree in the browser."),
    ("vault", _STEER, "Credentials of accounts, sealed: init, set, list, rotate, status, retire, remove."),
    ("deliveries", _STEER, "What is to be written to the CRMs: list, replay, discard, redeliver."),
    ("errors", _STEER, "Failed deliveries by cause: show, preview, edit, replay, discard."),
    ("replays", _STEER, "Replays of dead deliveries: list, show, pause, resume, cancel."),
    ("approvals", _STEER, "Writes that wait for a person: list, show, approve, reject."),
    ("deletes", _LOOK, "Records of deleted entities, and when each is removed from its CRM."),
    ("erase", _STEER, "A person, here and in every CRM: look first, erase, list, show, confirm, lift."),
    ("rollouts", _STEER, "Bulk changes on their way, stage by stage: list, show, approve, hold, abort."),
    ("enrichment", _STEER, "Values that providers add: status, run an entity again, budget."),
    ("backfill", _STEER, "Read again what a CRM changed in a stretch of time, beside the live traffic."),
    ("backfills", _STEER, "Backfills under way and past ones: list, show, pause, resume, cancel."),
    ("fetch", _STEER, "Have records of a CRM read again, as a webhook would."),
    ("rebuild", _STEER, "Make entities, records and timelines again from the log: of a tenant, or of all."),
    ("reconcile", _STEER, "CRMs compared with what they should hold: run, status, report, drift, repair."),
    ("schedules", _STEER, "Periodic jobs: list, run now, pause, resume."),
    ("quarantine", _STEER, "Events that break the contract: groups, list, release, discard."),
    ("audit", _LOOK, "Who did what, and proof that the record is unchanged: verify, search, export, prove."),
    ("log", _STEER, "The days of the event log: look, archive, drop."),
    ("policy", _STEER, "The tenant's policy: init, check, show, diff, impact, apply, versions, rollback."),
    ("identity", _STEER, "Who is who: entity, explain, check, review, merge, split, scan."),
    ("certs", _STEER, "A certificate authority of one's own: init, issue, renew, show."),
    ("tokens", _STEER, "API tokens: create, list, revoke, prune."),
    ("alerts", _STEER, "Alert rules and routes for Prometheus, made from a policy: generate, list."),
    ("runbook", _LOOK, "What to do about an alert or an error: cause, check, fix, whom to call."),
    ("version", _LOOK, "The release and what it runs on."),
)
"""Name, panel of the help page, and one line."""

_MODULES: Final = {"import": "importing", "test-connection": "connecting"}
"""Commands whose name cannot be their module's."""

HELP: Final = """Keeps CRM records true: every fact recorded once, resolved, merged by policy, written to every CRM.

Begin with [bold]headwater run[/bold]: it starts everything on this machine, feeds real samples, and shows where each
event went. Then [bold]headwater up[/bold] leaves it running, and the other commands look into it.

Results go to stdout (with [bold]--json[/bold] as one JSON document), progress and errors to stderr.
Exit codes: 0 done, 1 failed or something unexplained, 2 wrong usage, 3 the audit was tampered with, 69 a service is away, 78 wrong configuration.
"""


class LazyCommands(TyperGroup):
    """Swaps a command's placeholder for the real one when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command to run, imported now."""
        name, placeholder, rest = super().resolve_command(ctx, args)
        if name is None or placeholder is None:
            return name, placeholder, rest
        module = import_module(f"headwater.cli.commands.{_MODULES.get(name, name)}")
        return name, get_command(module.app), rest


app = typer.Typer(
    cls=LazyCommands,
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _placeholder() -> None:
    """Stand in for a command until it is called."""


for _name, _panel, _line in COMMANDS:
    app.command(_name, help=_line, rich_help_panel=_panel, add_help_option=False)(_placeholder)
