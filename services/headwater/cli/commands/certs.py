"""`headwater certs`: a certificate authority of one's own: make it, issue, renew, look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from headwater.cli.options import AsJson, DataDir
from headwater.cli.output import table
from headwater.cli.session import Session, act
from headwater.kernel.clock import SystemClock
from headwater.kernel.security.authority import AUTHORITY, DAYS_DEFAULT, Authority, Issued, Wanted
from headwater.kernel.security.principal import EVERY_TENANT
from headwater.kernel.security.settings import TRUST_DOMAIN

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="A certificate authority of one's own: make it, issue, renew, look.",
)

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""Every service's certificate is good for them."""

Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory", help="Where the files are; `certs` in the data directory.", show_default=False
    ),
]
Name = Annotated[str, typer.Argument(help="Whose certificate: a service, a program, a person's machine.")]


@app.command()
def init(
    trust_domain: Annotated[
        str, typer.Option("--trust-domain", help="Under which the identities are.")
    ] = TRUST_DOMAIN,
    directory: Directory = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make the authority: ca.pem, which everybody believes, and ca-key.pem, which should leave this machine.

    Example:

      headwater certs init
    """

    def work(session: Session) -> None:
        authority = _authority(session, directory)
        made = authority.make(trust_domain, SystemClock().now())
        key = authority.key_path(AUTHORITY)
        _tell(session, authority, made, f"keep {key} where no service can read it")

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def issue(
    name: Name,
    role: Annotated[
        list[str],
        typer.Option("--role", help="producer, reader, operator, steward, auditor, admin, service; repeat."),
    ],
    tenant: Annotated[
        list[str] | None,
        typer.Option("--tenant", help="A tenant it is for; repeat.", show_default=False),
    ] = None,
    every_tenant: Annotated[
        bool, typer.Option("--every-tenant", help="It is for every tenant; of role service always.")
    ] = False,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            help="Name or address under which it is called; of role service loopback too.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="Its validity.")] = DAYS_DEFAULT,
    directory: Directory = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Issue a certificate and its key: NAME.pem and NAME-key.pem.

    Examples:

      headwater certs issue sync --role service --host sync.internal

      headwater certs issue gateway --role producer --tenant acme
    """

    def work(session: Session) -> None:
        serves = "service" in role
        hosts = tuple(dict.fromkeys((*(host or ()), *((name, *LOOPBACK) if serves else ()))))
        tenants = (EVERY_TENANT,) if every_tenant or serves else tuple(tenant or ())
        authority = _authority(session, directory)
        issued = authority.issue(Wanted(name, tuple(role), tenants, hosts, days), SystemClock().now())
        _tell(session, authority, issued)

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def renew(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Which; all that are due when none is named.", show_default=False),
    ] = None,
    directory: Directory = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Issue certificates anew, with other keys, for the same names; running services take them up within seconds.

    A certificate is due in the last third of its life; run this every day.

    Example:

      headwater certs renew
    """

    def work(session: Session) -> None:
        authority, now = _authority(session, directory), SystemClock().now()
        due = [one.name for one in authority.all() if one.name != AUTHORITY and one.is_due(now)]
        renewed = [authority.renew(name, now) for name in (names or due)]
        document = {"renewed": [_document(authority, one) for one in renewed]}
        session.output.result(document, _listed(renewed) if renewed else "none is due")

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def show(directory: Directory = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the certificates: whose, until when, and whether they are due."""

    def work(session: Session) -> None:
        authority = _authority(session, directory)
        found = authority.all()
        document = {"certificates": [_document(authority, one) for one in found]}
        session.output.result(document, _listed(found) if found else f"none in {authority.directory}")

    act(work, as_json=as_json, data_dir=data_dir)


def _authority(session: Session, directory: Path | None) -> Authority:
    return Authority((directory or session.layout.data_dir / "certs").expanduser().absolute())


def _tell(session: Session, authority: Authority, issued: Issued, advice: str = "") -> None:
    document = _document(authority, issued)
    shown = (
        f"{document['certificate']}\n{document['key']}\n{issued.names[0]}, until {issued.ends_time:%Y-%m-%d}"
    )
    session.output.result(document, shown)
    if advice:
        session.output.say(advice)


def _document(authority: Authority, issued: Issued) -> dict[str, Any]:
    return {
        "name": issued.name,
        "certificate": str(authority.certificate_path(issued.name)),
        "key": str(authority.key_path(issued.name)),
        "names": list(issued.names),
        "ends_time": issued.ends_time.isoformat(),
        "serial": issued.serial,
        "due": issued.is_due(SystemClock().now()),
    }


def _listed(found: list[Issued]) -> Any:
    now = SystemClock().now()
    rows = [
        (
            one.name,
            one.names[0],
            f"{one.ends_time:%Y-%m-%d}",
            _state(one, now),
            ", ".join(one.names[1:]) or "-",
        )
        for one in found
    ]
    return table(("name", "identity", "until", "state", "called as"), rows)


def _state(issued: Issued, now: Any) -> str:
    if issued.ends_time <= now:
        return "ended"
    return "due" if issued.is_due(now) else "good"
