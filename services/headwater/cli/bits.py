"""An explanation drawn: where the bits come from, field by field, in the terminal and as a page of its own.

Pure: messages in, drawings out. Must not ask a service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from rich.table import Table
from rich.text import Text

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2

HALF_CELLS: Final = 20
"""Width of a bar on either side of zero, in characters."""
_DECIMALS: Final = 10
"""Bits are multiples of 1/1024, so ten decimals tell them exactly."""
TIERS: Final = {
    identity_pb2.MATCH_TIER_UNSPECIFIED: "",
    identity_pb2.MATCH_TIER_NEW: "nothing alike",
    identity_pb2.MATCH_TIER_REVIEW: "a person should look",
    identity_pb2.MATCH_TIER_LINK: "linked",
    identity_pb2.MATCH_TIER_MERGE: "one record in a CRM",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a waterfall: what a field adds, and the sum so far."""

    field: str
    level: str
    bits: float
    rarity_bits: float
    before: float

    @property
    def after(self) -> float:
        """The sum, this field included."""
        return self.before + self.bits


def exact(bits: float, *, signed: bool = False) -> str:
    """Return *bits* without rounding, and without zeros that say nothing."""
    text = f"{bits:+.{_DECIMALS}f}" if signed else f"{bits:.{_DECIMALS}f}"
    return text.rstrip("0").rstrip(".")


def steps(found: identity_pb2.ExplainResponse) -> list[Step]:
    """Return the steps of a waterfall, those that say most first, after the prior."""
    ordered = sorted(
        found.fields, key=lambda one: (one.field != "before evidence", -abs(one.bits), one.field)
    )
    made: list[Step] = []
    total = 0.0
    for one in ordered:
        made.append(Step(one.field, one.level, one.bits, one.rarity_bits, total))
        total += one.bits
    return made


def waterfall(found: identity_pb2.ExplainResponse) -> Table:
    """Return the bits by field: bars to the left speak against, to the right for; the last line is the exact sum."""
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("field", "level"):
        drawn.add_column(name, overflow="fold")
    drawn.add_column("against   0   for", justify="center", no_wrap=True)
    drawn.add_column("bits", justify="right", no_wrap=True)
    drawn.add_column("of them rarity", justify="right", no_wrap=True)
    lines = steps(found)
    unit = max((abs(one.bits) for one in lines), default=0.0) or 1.0
    for one in lines:
        rarity = exact(one.rarity_bits, signed=True) if one.rarity_bits else ""
        drawn.add_row(
            Text(one.field), Text(one.level), bar(one.bits, unit), exact(one.bits, signed=True), rarity
        )
    drawn.add_row(
        Text("sum", style="bold"),
        Text(TIERS.get(found.tier, "")),
        bar(found.bits, max(unit, abs(found.bits))),
        Text(exact(found.bits, signed=True), style="bold"),
        "",
    )
    return drawn


def bar(bits: float, unit: float) -> Text:
    """Return a bar to the left of zero for what speaks against, to the right for what speaks for."""
    cells = min(HALF_CELLS, round(abs(bits) / unit * HALF_CELLS))
    if bits and not cells:
        cells = 1
    left, right = (cells, 0) if bits < 0 else (0, cells)
    drawn = Text(" " * (HALF_CELLS - left))
    drawn.append("█" * left, style="red")
    drawn.append("│", style="dim")
    drawn.append("█" * right, style="green")
    drawn.append(" " * (HALF_CELLS - right))
    return drawn


def pair_line(found: identity_pb2.ExplainResponse) -> str:
    """Return which pair of records the bits are of."""
    if not found.fields:
        return ""
    two = f"{record_name(found.left_record)} and {record_name(found.right_record)}"
    return f"best pair: {two}; weights {found.weights_version}"


def record_name(record: event_pb2.RecordRef) -> str:
    """Return a record's name as people type it."""
    return f"{record.source}/{record.object}/{record.external_id}"


def page(found: identity_pb2.ExplainResponse, left: str, right: str) -> str:
    """Return the explanation as an HTML page that needs nothing else: no script, no font, no picture."""
    lines = steps(found)
    low = min((0.0, *(min(one.before, one.after) for one in lines)))
    high = max((0.0, *(max(one.before, one.after) for one in lines)))
    span = (high - low) or 1.0
    rows = "\n".join(_row(one, low, span) for one in lines)
    total = Step("sum", TIERS.get(found.tier, ""), found.bits, 0.0, 0.0)
    keys = "".join(
        f"<li><b>{escape(key.kind)}</b> {escape(key.value)}"
        f"{'' if key.joins else f' <i>({escape(key.blocked_by)})</i>'}</li>"
        for key in found.shared_keys
    )
    return _PAGE.format(
        title=escape(f"{left} and {right}"),
        verdict=escape(found.verdict),
        pair=escape(pair_line(found)),
        rows=rows,
        total=_row(total, low, span),
        keys=keys or "<li>none</li>",
    )


def _row(one: Step, low: float, span: float) -> str:
    begin = (min(one.before, one.after) - low) / span * 100
    side = "against" if one.bits < 0 else "for"
    rarity = exact(one.rarity_bits, signed=True) if one.rarity_bits else ""
    return (
        f"<tr><td>{escape(one.field)}</td><td>{escape(one.level)}</td>"
        f'<td class="plot"><i class="zero" style="left:{-low / span * 100:.2f}%"></i>'
        f'<i class="{side}" style="left:{begin:.2f}%;width:{abs(one.bits) / span * 100:.2f}%"></i></td>'
        f'<td class="n">{exact(one.bits, signed=True)}</td><td class="n">{rarity}</td></tr>'
    )


def side_by_side(sides: Sequence[identity_pb2.ReviewSide]) -> Table:
    """Return the records of two sides, a field a line, a record a column; equal values stand out."""
    records = [one for side in sides for one in side.records]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("field", style="dim", no_wrap=True)
    for one in records:
        drawn.add_column(Text(record_name(one.record)), overflow="fold")
    owners = [side.entity_id for side in sides for _ in side.records]
    drawn.add_row("entity", *(Text(owner, style="dim") for owner in owners))
    for name in dict.fromkeys(name for one in records for name in one.fields):
        values = [one.fields.get(name, "") for one in records]
        drawn.add_row(name, *(Text(value, style=_style(value, values)) for value in values))
    return drawn


def _style(value: str, values: Sequence[str]) -> str:
    return "green" if value and values.count(value) > 1 else ""


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;color:#1c2430;background:#fff}}
table{{border-collapse:collapse;width:100%}} td,th{{padding:.3rem .6rem;text-align:left;vertical-align:middle}}
th{{color:#667;font-weight:500;border-bottom:1px solid #ccd}} .n{{text-align:right;font-variant-numeric:tabular-nums}}
.plot{{position:relative;width:45%}} .plot i{{position:absolute;top:25%;height:50%;border-radius:2px}}
.plot .zero{{top:0;height:100%;width:1px;background:#99a}} .for{{background:#2a8f5a}} .against{{background:#c2413b}}
tfoot td{{border-top:2px solid #99a;font-weight:600}} .quiet{{color:#667}}
</style></head><body>
<h1>{title}</h1><p>{verdict}</p><p class="quiet">{pair}</p>
<table><thead><tr><th>field</th><th>level</th><th>against, for</th><th class="n">bits</th><th class="n">of them rarity</th></tr>
</thead><tbody>
{rows}
</tbody><tfoot>
{total}
</tfoot></table>
<h2>Shared identifiers</h2><ul>{keys}</ul>
<p class="quiet">Bits are log2 of the odds that the two are one, prior included; the lines add up to the sum exactly.</p>
</body></html>
"""
