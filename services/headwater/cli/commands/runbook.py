"""`headwater runbook`: what to do about an alert or an error. Asks no service."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer
from rich.markdown import Markdown

from headwater.cli.options import AsJson
from headwater.cli.output import table
from headwater.cli.session import Session, act
from headwater.kernel.errors import NotFound
from headwater.runbooks import codes, find_runbook

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def runbook(
    code: Annotated[
        str, typer.Argument(help="An alert, a class of error or a reason; without it all are listed.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what to do about an alert or an error: business impact, cause, check, fix, whom to call.

    Examples:

      headwater runbook HeadwaterBreakerOpen

      headwater runbook validation

      headwater runbook
    """

    def work(session: Session) -> None:
        if not code:
            pages = [(name, page.summary) for name in codes() if (page := find_runbook(name)) is not None]
            listed = [{"code": name, "summary": summary} for name, summary in pages]
            session.output.result({"runbooks": listed}, table(("code", "about"), pages))
            return
        page = find_runbook(code)
        if page is None:
            near = ", ".join(difflib.get_close_matches(code, codes(), 3, 0.4))
            raise NotFound(f"no page about {code!r}" + (f"; there is {near}" if near else ""))
        document = {"code": page.code, "summary": page.summary, "parts": page.parts}
        session.output.result(document, Markdown(page.text))

    act(work, as_json=as_json, data_dir=None)
