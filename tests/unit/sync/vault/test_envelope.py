"""What is sealed for one place opens there alone."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from headwater.sync.vault.envelope import (
    NONCE_BYTES,
    NotOpened,
    Place,
    RingKey,
    Sealed,
    seal,
    unseal,
    unwrap,
    wrap,
)

PLACE = Place("acme", "hubspot", 3)
DATA_KEY = bytes(range(32))
RING_KEY = RingKey("key-1", bytes(32))
ELSEWHERE = [
    replace(PLACE, tenant_id="other"),
    replace(PLACE, connection="salesforce"),
    replace(PLACE, key_version=4),
    Place("acmeh", "ubspot", 3),
]


def test_a_field_opens_where_it_was_sealed() -> None:
    """Any text survives, also an empty one."""
    for value in ("s3cret", "", "\x00 ünï \U0001f511"):
        assert unseal(DATA_KEY, PLACE, "token", seal(DATA_KEY, PLACE, "token", value, os.urandom)) == value


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_field_moved_elsewhere_is_refused(place: Place) -> None:
    """Another tenant, connection or key version, and parts that only join to the same text."""
    sealed = seal(DATA_KEY, PLACE, "token", "s3cret", os.urandom)
    with pytest.raises(NotOpened, match="does not open"):
        unseal(DATA_KEY, place, "token", sealed)


def test_a_field_under_another_name_is_refused() -> None:
    """Two fields of a connection cannot be exchanged."""
    sealed = seal(DATA_KEY, PLACE, "client_secret", "s3cret", os.urandom)
    with pytest.raises(NotOpened):
        unseal(DATA_KEY, PLACE, "client_id", sealed)


@pytest.mark.parametrize("position", range(0, 22, 3))
def test_a_changed_bit_is_refused(position: int) -> None:
    """In the text, in the tag, and in the nonce."""
    sealed = seal(DATA_KEY, PLACE, "token", "s3cret", os.urandom)
    text = bytearray(sealed.text)
    text[position] ^= 1
    nonce = bytes([sealed.nonce[0] ^ 1]) + sealed.nonce[1:]
    for changed in (Sealed(sealed.nonce, bytes(text)), Sealed(nonce, sealed.text), Sealed(b"", sealed.text)):
        with pytest.raises(NotOpened):
            unseal(DATA_KEY, PLACE, "token", changed)


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_data_key_moved_elsewhere_is_refused(place: Place) -> None:
    """A wrapping is of its connection and version alone."""
    sealed = wrap(RING_KEY, PLACE, DATA_KEY, os.urandom)
    assert unwrap(RING_KEY, PLACE, sealed) == DATA_KEY
    with pytest.raises(NotOpened):
        unwrap(RING_KEY, place, sealed)


def test_a_data_key_does_not_open_with_another_key_nor_under_another_name_of_it() -> None:
    """The ring key's id is part of what is sealed."""
    sealed = wrap(RING_KEY, PLACE, DATA_KEY, os.urandom)
    for key in (replace(RING_KEY, material=b"x" * 32), replace(RING_KEY, key_id="key-2")):
        with pytest.raises(NotOpened):
            unwrap(key, PLACE, sealed)


def test_a_wrapped_key_is_no_field_and_a_field_no_wrapped_key() -> None:
    """Under one and the same key they still do not stand in for each other."""
    key = RingKey("token", DATA_KEY)
    with pytest.raises(NotOpened):
        unseal(DATA_KEY, PLACE, "token", wrap(key, PLACE, b"s3cret", os.urandom))


def test_every_sealing_takes_a_nonce_of_its_own() -> None:
    """96 bits from the randomness given, so that equal secrets do not look equal."""
    sealed = {seal(DATA_KEY, PLACE, "token", "s3cret", os.urandom) for _ in range(50)}
    assert len(sealed) == 50
    assert {len(one.nonce) for one in sealed} == {NONCE_BYTES}


def test_a_ring_key_shows_nothing_of_itself() -> None:
    """Neither in its repr nor in its check value, which differs from key to key."""
    key = RingKey("key-1", b"k" * 32)
    assert "kkk" not in repr(key)
    assert key.check_value() != replace(key, material=b"l" * 32).check_value()
    assert b"k" * 4 not in key.check_value()
