"""When a database counts as away, and when as back."""

from __future__ import annotations

from headwater.kernel.pg.presence import Presence

AWAY_S = 5.0


def test_a_short_silence_is_no_absence() -> None:
    """One question without an answer says nothing."""
    assert Presence(0.0).after(4.9, AWAY_S, answered=False).present


def test_a_long_silence_is_an_absence_until_the_next_answer() -> None:
    """Away after the bound, and back with the first answer."""
    away = Presence(0.0).after(5.0, AWAY_S, answered=False)
    assert not away.present
    assert not away.after(6.0, AWAY_S, answered=False).present
    assert away.after(7.0, AWAY_S, answered=True) == Presence(7.0, present=True)
