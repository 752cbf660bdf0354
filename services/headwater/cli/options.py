"""Options that many commands share, with the words of their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Directory of the local stack (or HEADWATER_DATA_DIR).", show_default=False
    ),
]
Tenant = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        help="Tenant (or HEADWATER_TENANT); the newest run's by default.",
        show_default=False,
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Do it; without this the command only says what it would do.")
]
Rate = Annotated[float, typer.Option("--rate", min=0.01, max=1000, help="Deliveries a second.")]
Follow = Annotated[bool, typer.Option("--follow", help="Show a bar until it is done.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the audit.")]
PageSize = Annotated[int, typer.Option("--limit", min=1, max=500, help="Rows at most.")]
