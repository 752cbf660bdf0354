"""The waterfall in a terminal, drawn with rich: services in colour, durations as bars, retries and links said.

Owns the drawing only; rows come from `waterfall`. Text from spans is shown as text, never read as markup.
"""

from collections.abc import Sequence
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from headwater.console import wording
from headwater.console.waterfall import Row, total_ns

BAR_CELLS: Final = 36
"""Width of a bar's column, in characters."""
LINKS_SHOWN: Final = 3
"""Links written out below the table for each span; the rest are counted."""

_COLOURS: Final = (
    "cyan",
    "green",
    "magenta",
    "yellow",
    "blue",
    "bright_cyan",
    "bright_green",
    "bright_magenta",
)


def render_waterfall(rows: Sequence[Row], *, bar_cells: int = BAR_CELLS) -> Group:
    """Draw a waterfall; to be printed by a rich console."""
    colours = service_colours(rows)
    width_ns = total_ns(rows)
    table = Table(box=None, pad_edge=False, expand=False, padding=(0, 1))
    for title, justify in (
        ("service", "left"),
        ("span", "left"),
        ("", "left"),
        ("took", "right"),
        ("", "left"),
    ):
        table.add_column(title, justify=justify, no_wrap=True, header_style="dim")  # type: ignore[arg-type]
    for row in rows:
        colour = colours[row.span.service]
        table.add_row(
            Text(row.span.service, colour),
            _name(row),
            Text(bar(row, width_ns, bar_cells), "red" if row.error_type else colour),
            wording.duration(row.duration_ns),
            _notes(row),
        )
    return Group(table, *_link_lines(rows))


def service_colours(rows: Sequence[Row]) -> dict[str, str]:
    """Give each service a colour, in order of appearance."""
    services = dict.fromkeys(row.span.service for row in rows)
    return {service: _COLOURS[number % len(_COLOURS)] for number, service in enumerate(services)}


def bar(row: Row, width_ns: int, cells: int) -> str:
    """Draw one bar in its place; a span too short to see still gets one cell."""
    begin = min(cells - 1, row.offset_ns * cells // width_ns)
    end = min(cells, max(begin + 1, -(-(row.offset_ns + row.duration_ns) * cells // width_ns)))
    return " " * begin + "━" * (end - begin) + " " * (cells - end)


def _name(row: Row) -> Text:
    sign = wording.KIND_SIGNS.get(row.span.kind, " ")
    return Text.assemble(
        "  " * row.depth, (f"{sign} ", "dim"), (row.span.name, "red" if row.error_type else "")
    )


def _notes(row: Row) -> Text:
    notes = Text()
    if row.attempt is not None and row.attempt > 1:
        notes.append(f"attempt {row.attempt} ", "bold yellow")
    if row.error_type is not None:
        notes.append(f"✗ {row.error_type} ", "bold red")
    if row.orphan:
        notes.append("parent not here ", "dim")
    if row.skew_ns:
        notes.append(f"clock +{wording.duration(row.skew_ns)} ", "dim")
    if row.links:
        notes.append(f"⇢ {len(row.links)} ", "blue")
    return notes


def _link_lines(rows: Sequence[Row]) -> list[Text]:
    lines: list[Text] = []
    for row in rows:
        for link in row.links[:LINKS_SHOWN]:
            role = str(link.attributes.get("headwater.link_role", "link")).replace("_", " ")
            lines.append(
                Text.assemble(("⇢ ", "blue"), row.span.name, f" → {role}, trace ", (link.trace_id, "blue"))
            )
        if len(row.links) > LINKS_SHOWN:
            lines.append(Text(f"⇢ {row.span.name} → {len(row.links) - LINKS_SHOWN} more", "blue"))
    return lines
