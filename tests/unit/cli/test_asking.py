"""What every command that asks the services gets from one place: options, a session, an exit code."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from headwater.cli.asking import asking
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.errors import InvalidInput

app = typer.Typer()


@app.command()
@asking
async def greet(
    session: Session,
    services: Services,
    name: str,
    ending: Annotated[str, typer.Option("--ending", help="Behind the name.")] = "",
) -> None:
    """Greet somebody."""
    assert isinstance(services, Services)
    if name == "nobody":
        raise InvalidInput("nobody is there")
    said = f"{session.tenant_id} greets {name}{ending}"
    session.output.result({"said": said}, said)


def type_words(folder: Path, *words: str) -> tuple[int, str, str]:
    """Type a command; return exit code, stdout and stderr."""
    done = CliRunner().invoke(app, [*words, "--data-dir", str(folder)], env=dict(os.environ))
    return done.exit_code, done.stdout, done.stderr


def test_a_command_has_the_shared_options_behind_its_own() -> None:
    """Session and services are nobody's options."""
    assert list(inspect.signature(greet).parameters) == ["name", "ending", "tenant", "data_dir", "as_json"]
    assert greet.__doc__ == "Greet somebody."


def test_what_is_typed_reaches_the_command(tmp_path: Path) -> None:
    """Its own options and the tenant that all commands know."""
    code, out, _ = type_words(tmp_path, "Ada", "--ending", "!", "--tenant", "acme", "--json")
    assert (code, "acme greets Ada!" in out) == (0, True)


def test_an_expected_error_is_told_and_ends_with_one(tmp_path: Path) -> None:
    """In one line, not as a trace."""
    code, _, told = type_words(tmp_path, "nobody", "--tenant", "acme")
    assert (code, "nobody is there" in told, "Traceback" in told) == (1, True, False)


@pytest.mark.parametrize("words", [(), ("Ada", "--unknown")])
def test_wrong_usage_is_the_parsers_business(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Exit code 2, before anything is opened."""
    assert type_words(tmp_path, *words)[0] == 2
