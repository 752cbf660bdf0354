"""`headwater load`: how much the service takes, how fast, and whether all of it is there afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import typer

from headwater.cli import failures
from headwater.cli.loading.asked import Options, read_options
from headwater.cli.loading.running import Job, run_load
from headwater.cli.loading.shown import shown
from headwater.cli.loading.target import find_target
from headwater.cli.options import DataDir
from headwater.cli.session import Session, act
from headwater.load.picture import KINDS, draw

app = typer.Typer(rich_markup_mode="rich")

_LOAD: Final = "What is sent"
_PACE: Final = "How fast"
_WHERE: Final = "Where to"
_TOLD: Final = "What is told"
_GOAL: Final = "What must hold (exit code 1 when not)"


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise typer.BadParameter(f"{option} {value}: must be one of {', '.join(allowed)}")


@app.command()
def load(
    shape: Annotated[
        str, typer.Option("--shape", help="unary, batch or stream.", rich_help_panel=_LOAD)
    ] = "stream",
    batch: Annotated[
        int,
        typer.Option("--batch", min=1, max=1000, help="Events of a batch or message.", rich_help_panel=_LOAD),
    ] = 100,
    tenants: Annotated[
        int,
        typer.Option("--tenants", min=1, max=1000, help="Tenants load-1, load-2, …", rich_help_panel=_LOAD),
    ] = 1,
    skew: Annotated[
        float,
        typer.Option(
            "--skew",
            min=0,
            max=5,
            help="Zipf exponent of the tenants: 0 equal, 1 as in real life.",
            rich_help_panel=_LOAD,
        ),
    ] = 0.0,
    duplicates: Annotated[
        float,
        typer.Option(
            "--duplicates",
            min=0,
            max=0.95,
            help="Share that was acknowledged before and is sent again.",
            rich_help_panel=_LOAD,
        ),
    ] = 0.0,
    duplicate_level: Annotated[
        str,
        typer.Option(
            "--duplicate-level",
            help="event: in every batch; batch: whole batches again.",
            rich_help_panel=_LOAD,
        ),
    ] = "event",
    payload_bytes: Annotated[
        str | None,
        typer.Option(
            "--payload-bytes",
            metavar="MIN..MAX",
            help="Sizes, evenly spread; without it what records are by nature, 200 to 450.",
            rich_help_panel=_LOAD,
            show_default=False,
        ),
    ] = None,
    invalid: Annotated[
        float,
        typer.Option(
            "--invalid",
            min=0,
            max=1,
            help="Share that breaks the contract and goes to quarantine.",
            rich_help_panel=_LOAD,
        ),
    ] = 0.0,
    sampled: Annotated[
        float,
        typer.Option(
            "--sampled",
            min=0,
            max=1,
            help="Share of calls (of messages on a stream) under a sampled trace.",
            rich_help_panel=_LOAD,
        ),
    ] = 0.0,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", min=0, help="Of payloads, mixture and Poisson arrivals.", rich_help_panel=_LOAD
        ),
    ] = 1,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            min=0.1,
            help="Open loop: events a second, due whatever the service does. Without it: closed loop.",
            rich_help_panel=_PACE,
            show_default=False,
        ),
    ] = None,
    arrivals: Annotated[
        str, typer.Option("--arrivals", help="constant or poisson.", rich_help_panel=_PACE)
    ] = "constant",
    ramp: Annotated[
        str | None,
        typer.Option(
            "--ramp",
            metavar="FROM..TO",
            help="Open loop: events a second, changing over the duration.",
            rich_help_panel=_PACE,
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(
            "--steps", min=0, max=1000, help="Stairs of the ramp; 0: smooth.", rich_help_panel=_PACE
        ),
    ] = 0,
    find_limit: Annotated[
        bool,
        typer.Option(
            "--find-limit",
            help="Search the highest rate whose p99 stays within --p99-ms, in probes of --duration.",
            rich_help_panel=_PACE,
        ),
    ] = False,
    p99_ms: Annotated[
        float, typer.Option("--p99-ms", min=0.1, help="Bound of the search.", rich_help_panel=_PACE)
    ] = 100.0,
    callers: Annotated[
        int | None,
        typer.Option(
            "--callers",
            min=1,
            max=4096,
            help="Calls under way at once (16; in an open loop 256).",
            rich_help_panel=_PACE,
            show_default=False,
        ),
    ] = None,
    streams: Annotated[
        int | None,
        typer.Option(
            "--streams", min=1, max=1024, help="Streams (4).", rich_help_panel=_PACE, show_default=False
        ),
    ] = None,
    window: Annotated[
        int,
        typer.Option(
            "--window", min=1, max=1024, help="Unacknowledged batches of a stream.", rich_help_panel=_PACE
        ),
    ] = 8,
    duration: Annotated[
        float,
        typer.Option("--duration", min=0.5, max=86_400, help="Seconds measured.", rich_help_panel=_PACE),
    ] = 10.0,
    warm_up: Annotated[
        float,
        typer.Option(
            "--warm-up", min=0, max=3_600, help="Seconds before, not measured.", rich_help_panel=_PACE
        ),
    ] = 2.0,
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            min=1,
            max=64,
            help="Sender processes; callers and streams are shared out.",
            rich_help_panel=_PACE,
        ),
    ] = 1,
    channels: Annotated[
        int | None,
        typer.Option(
            "--channels",
            min=1,
            max=256,
            help="Connections of each process (up to 8).",
            rich_help_panel=_PACE,
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=0.1,
            max=300,
            help="Deadline of every call and batch, seconds.",
            rich_help_panel=_PACE,
        ),
    ] = 10.0,
    honour_retry: Annotated[
        bool,
        typer.Option(
            "--honour-retry/--no-honour-retry",
            help="Wait as RESOURCE_EXHAUSTED asks and send again, or give the events up.",
            rich_help_panel=_PACE,
        ),
    ] = True,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="host:port of ingest; the running stack's without it.",
            rich_help_panel=_WHERE,
            show_default=False,
        ),
    ] = None,
    stack: Annotated[
        bool,
        typer.Option(
            "--stack",
            help="Start a PostgreSQL and ingest for this run only, deleted afterwards.",
            rich_help_panel=_WHERE,
        ),
    ] = False,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            help="An existing tenant instead of load-1.",
            rich_help_panel=_WHERE,
            show_default=False,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do so though that tenant holds events.", rich_help_panel=_WHERE)
    ] = False,
    watch: Annotated[
        list[str] | None,
        typer.Option(
            "--watch",
            metavar="NAME=PID",
            help="Measure this process too; may be repeated.",
            rich_help_panel=_WHERE,
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    json_to: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="FILE|-",
            help="Write all results as JSON; - is stdout.",
            rich_help_panel=_TOLD,
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Draw throughput, latency and memory over time: .png, .svg or .html.",
            rich_help_panel=_TOLD,
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Check every outcome, and the log's growth against what was acknowledged: nothing lost, nothing doubled.",
            rich_help_panel=_GOAL,
        ),
    ] = False,
    max_p99_ms: Annotated[
        float | None,
        typer.Option(
            "--max-p99-ms", min=0, help="Corrected p99 at most.", rich_help_panel=_GOAL, show_default=False
        ),
    ] = None,
    min_rate: Annotated[
        float | None,
        typer.Option(
            "--min-rate",
            min=0,
            help="Acknowledged events a second at least.",
            rich_help_panel=_GOAL,
            show_default=False,
        ),
    ] = None,
    max_errors: Annotated[
        int | None,
        typer.Option(
            "--max-errors",
            min=0,
            help="Calls that end with an error at most.",
            rich_help_panel=_GOAL,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Send made-up events to ingest, measure the answers, and say what came of every event.

    An open loop (--rate, --ramp, --find-limit) fixes beforehand when each message is due, and measures from then:
    while the service stalls, everything due meanwhile counts as late (latency "corrected"; "uncorrected" is measured
    from the actual sending). A closed loop sends the next message when an answer came: good for the highest
    throughput, but it goes easy on a service that stalls.

    Records are contacts, leads and mails that keep the sample policy's contract. They go to tenants of their own,
    load-1, load-2, …, which are given the sample policy without connectors, so nothing is delivered to a CRM. Their
    events stay in the log: use --stack, or a database that may be thrown away. A tenant named with --tenant must have
    a policy (records that break it are quarantined) and is refused when it holds events, unless --yes.

    Examples:

      headwater load --stack --duration 5

      headwater load --rate 2000 --shape unary --arrivals poisson --duration 60 --max-p99-ms 50

      headwater load --stack --find-limit --p99-ms 100 --duration 5 --picture limit.png

      headwater load --ramp 1000..40000 --steps 8 --duration 80 --processes 2 --json ramp.json --picture ramp.html

      headwater load --duplicates 0.2 --invalid 0.01 --tenants 50 --skew 1 --verify
    """
    _one_of("--shape", shape, ("unary", "batch", "stream"))
    _one_of("--arrivals", arrivals, ("constant", "poisson"))
    _one_of("--duplicate-level", duplicate_level, ("event", "batch"))
    if picture is not None:
        _one_of("--picture", picture.suffix, KINDS)
    if stack and address:
        raise typer.BadParameter("--stack starts its own ingest: leave out --address")
    options = Options(
        shape=shape, batch=batch, rate=rate, arrivals=arrivals, ramp=ramp, steps=steps, find_limit=find_limit,
        p99_ms=p99_ms, callers=callers, streams=streams, window=window, tenants=tenants, tenant=tenant, skew=skew,
        duplicates=duplicates, duplicate_level=duplicate_level, payload_bytes=payload_bytes, invalid=invalid,
        sampled=sampled, duration=duration, warm_up=warm_up, processes=processes, channels=channels, seed=seed,
        timeout=timeout, honour_retry=honour_retry, verify=verify, max_p99_ms=max_p99_ms, min_rate=min_rate,
        max_errors=max_errors, watch=tuple(watch or ()),
    )  # fmt: skip
    asked = read_options(options)

    def work(session: Session) -> None:
        with find_target(session, address, stack=stack) as target:
            found = anyio.run(run_load, session, Job(options, asked, target, yes))
        _publish(session, found, json_to, picture)
        if not found["passed"]:
            raise typer.Exit(failures.FAILED)

    act(work, as_json=json_to == "-", data_dir=data_dir, tenant=tenant)


def _publish(session: Session, found: dict[str, Any], json_to: str | None, picture: Path | None) -> None:
    """Print the results, and write the files asked for."""
    session.output.result(found, *shown(found))
    if json_to not in {None, "-"}:
        Path(str(json_to)).write_text(
            json.dumps(found, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        session.output.say(f"results: {json_to}")
    if picture is not None:
        draw(found, picture)
        session.output.say(f"picture: {picture}")
