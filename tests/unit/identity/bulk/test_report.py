"""Bands of linked pairs and what is estimated of them."""

from __future__ import annotations

from headwater.identity.bulk.report import bands_of


def test_bands_hold_every_linked_pair_with_the_odds_of_its_bits() -> None:
    """At 0 bits and a half seven of twelve pairs are right, from ten bits on nearly all."""
    bands = {band.low: band for band in bands_of({0: 10, 10: 4, 20: 6, -1: 2})}
    assert sum(band.pairs for band in bands.values()) == 22
    assert round(bands[0].precision, 2) == 0.59
    assert bands[-1].precision < 0.5
    assert bands[10].precision > 0.999
    assert bands[3].precision == 1.0
