"""An event's life on its page and in the terminal."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console
from tests.integration.console.answering import EVENT_KEY, TENANT, entity, fate, group, recorded
from tests.unit.console.test_page import EVIL, _read

from headwater.console.life import Decision, EventLife, Told, life_of
from headwater.console.life_page import event_page, lives_section, runbook_page, unasked_page
from headwater.console.life_terminal import render_life

TRIES = (("hubspot", "1" * 32, "2" * 16), ("salesforce", "3" * 32, "4" * 16))


def _life(**more: object) -> EventLife:
    life = life_of(Told(TENANT, EVENT_KEY, recorded(), fate(TRIES), [entity()], [group()]))
    return replace(life, **more)  # type: ignore[arg-type]


def _evil() -> EventLife:
    life = _life(tenant_id=EVIL, event_key=EVIL, missing=(EVIL,), left_out={EVIL: 1})
    deliveries = tuple(
        replace(
            one,
            connector=EVIL,
            state=EVIL,
            crm_id=EVIL,
            error=EVIL,
            said=EVIL,
            what_to_do=EVIL,
            owner=EVIL,
            runbook=EVIL,
        )
        for one in life.deliveries
    )
    decision = Decision(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, (EVIL,))
    return replace(life, deliveries=deliveries, decisions=(decision,))


def test_nothing_that_a_service_told_becomes_markup() -> None:
    """Hostile names, codes and words are text, in links too."""
    pages = (
        event_page(_evil()),
        lives_section([_evil()], 1),
        unasked_page(EVIL, EVIL),
        runbook_page(EVIL, EVIL),
    )
    for page in pages:
        seen = _read(page)
        assert "script" not in seen.tags
        assert not any(name.startswith("on") for name in seen.attributes)
        assert "&lt;script&gt;" in page
        assert all(href.startswith("/") for href in seen.hrefs)


def test_a_runbook_that_would_run_a_script_is_no_link() -> None:
    """Only addresses of the web are."""
    life = _life()
    for address, linked in (
        ("javascript:alert(1)", False),
        ("https://runbooks.example/x", True),
        ("see the wiki", False),
    ):
        one = replace(life.deliveries[0], runbook=address)
        assert (address in _read(event_page(replace(life, deliveries=(one,)))).hrefs) is linked


def test_a_trace_that_the_store_lacks_is_named_without_a_link() -> None:
    """One that it has is a link to the attempt's span."""
    life = _life().with_held(["1" * 32])
    page = event_page(life)
    assert f'<li>hubspot attempt 1 <a href="/trace/{"1" * 32}#s{"2" * 16}">' in page
    assert f"<li>salesforce attempt 1 <code>{'3' * 32}</code>" in page


def test_several_events_are_folded_one_is_open() -> None:
    """A batch's page stays readable, and says how many more there are."""
    one, two = lives_section([_life()], 0), lives_section([_life(), _life()], 12)
    assert (one.count("<details class=life open>"), one.count("more events")) == (1, 0)
    assert (two.count("<details class=life>"), two.count("12 more events")) == (2, 1)
    assert lives_section([], 0) == ""


def test_the_terminal_tells_the_same() -> None:
    """State, error, runbook, next to each attempt its trace; markup in it is text."""
    shown = io.StringIO()
    Console(file=shown, width=260).print(render_life(_life(missing=("[red]identity[/] is away",))))
    told = shown.getvalue()
    for part in (
        "erp / contact",
        "dead",
        "INVALID_EMAIL",
        "headwater runbook validation",
        "1" * 32,
        "phone: newest",
    ):
        assert part in told
    assert "not told: [red]identity[/] is away" in told
