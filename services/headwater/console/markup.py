"""What the console's pages are made of: the frame, its style, text made harmless, links. Pure; there is no script."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import quote

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8883; --dim: #888; --bad: #d33 }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 90rem; padding: 0 1rem }
h1 { font-size: 1.25rem; margin: .2rem 0 } h2 { font-size: 1rem; margin: 1.5rem 0 .3rem }
h3 { font-size: .95rem; margin: .6rem 0 .2rem; display: inline-block } ul { margin: .2rem 0; padding-left: 1.2rem }
code, .n { font-family: ui-monospace, monospace; font-size: .92em }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .15rem .5rem; vertical-align: top }
th { font-weight: 500; color: var(--dim) } tr + tr td { border-top: 1px solid var(--line) }
.n { text-align: right; white-space: nowrap } .dim { color: var(--dim) } .bad { color: var(--bad) }
.facts th { width: 7rem } .try td { border-top: none !important } .life { margin: .4rem 0; overflow-wrap: anywhere }
.life > section { border-left: 3px solid var(--line); padding-left: .8rem; margin: .3rem 0 1rem }
.waterfall { table-layout: fixed; overflow-wrap: anywhere }
.lane { width: 42% } .from { width: 7rem } .took { width: 6rem } .bar { height: .75rem; border-radius: 2px; min-width: 2px; margin-top: .3rem }
.tag { border: 1px solid var(--line); border-radius: 3px; padding: 0 .3rem; font-size: .85em; white-space: nowrap }
summary { cursor: pointer; list-style: none } pre { margin: .3rem 0 .6rem; font-size: .92em; white-space: pre-wrap }
tr:target td { background: #fd03 } input { font: inherit; padding: .1rem .3rem }
"""


def text(value: object) -> str:
    """Return a value as text that no browser takes for markup."""
    return escape(str(value), quote=True)


def page(title: str, body: str) -> str:
    """Return a whole page around *body*, which is markup."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{text(title)} · Headwater</title><style>{_STYLE}</style><body>{body}</body></html>"
    )


def table(columns: Iterable[str], rows: Iterable[str]) -> str:
    """Return a table of rows that are markup; a column named `n:…` is of numbers."""
    head = "".join(
        f"<th class=n>{text(name[2:])}" if name.startswith("n:") else f"<th>{text(name)}" for name in columns
    )
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def trace_anchor(trace_id: str, shown: str, fragment: str = "") -> str:
    """Return a link to a trace, to a span of it where *fragment* names one."""
    place = f"#{quote(fragment)}" if fragment else ""
    return f'<a href="/trace/{quote(trace_id)}{place}"><code>{text(shown)}</code></a>'
