"""Damage to the wire form of a protobuf message: what no encoder would send. Pure, seeded.

Knows the wire format (tag, length, groups) and no message type.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

VARINT, FIXED64, BYTES, GROUP_START, GROUP_END, FIXED32 = range(6)
DEPTH_MAX: Final = 4
"""How deep into messages in messages the damage may go."""
GROUPS_DEEP: Final = 120
"""More groups in groups than a decoder follows (100)."""

_BAD_UTF8: Final = (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\xffb")
_BAD_VARINTS: Final = (b"\x80" * 10, b"\xff" * 9 + b"\x7f", b"\x80\x80\x00", b"\xff\xff\xff\xff\x0f", b"\x80")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a wire form: from *start* to *end*, its value from *value*."""

    number: int
    kind: int
    start: int
    value: int
    end: int


def varint(number: int) -> bytes:
    """Return the varint of a number, of its low 64 bits."""
    number &= 2**64 - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def fields_of(wire: bytes) -> list[Field]:
    """Return the fields of the outermost message, as far as they can be read."""
    found: list[Field] = []
    place = 0
    while place < len(wire):
        start = place
        tag, place = _read_varint(wire, place)
        end = value = place
        kind = tag & 7
        if kind == VARINT:
            _, end = _read_varint(wire, place)
        elif kind in {FIXED64, FIXED32}:
            end = place + (8 if kind == FIXED64 else 4)
        elif kind == BYTES:
            length, value = _read_varint(wire, place)
            end = value + length
        if not start < end <= len(wire):
            break
        found.append(Field(tag >> 3, kind, start, value, end))
        place = end
    return found


def _read_varint(wire: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while place < len(wire) and shift < 64:
        byte = wire[place]
        number |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return number, place
        shift += 7
    return number, len(wire) + 1


def damage(chance: random.Random, wire: bytes, depth: int = 0) -> bytes:
    """Return *wire* with one kind of damage, in the outermost message or in one inside."""
    fields = fields_of(wire)
    inside = [item for item in fields if item.kind == BYTES and item.end - item.value > 1]
    if inside and depth < DEPTH_MAX and chance.random() < 0.6:
        picked = chance.choice(inside)
        body = damage(chance, wire[picked.value : picked.end], depth + 1)
        return wire[: picked.start] + framed(picked.number, body) + wire[picked.end :]
    return chance.choice(_DAMAGES)(chance, wire, fields)


def framed(number: int, body: bytes) -> bytes:
    """Return *body* as the length-delimited field of that number."""
    return varint(number << 3 | BYTES) + varint(len(body)) + body


def _flip(chance: random.Random, wire: bytes, _: Sequence[Field]) -> bytes:
    found = bytearray(wire)
    for _turn in range(chance.choice((1, 1, 1, 2, 8))):
        if found:
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _truncate(chance: random.Random, wire: bytes, _: Sequence[Field]) -> bytes:
    return wire[: chance.randint(0, len(wire))]


def _repeat(chance: random.Random, wire: bytes, fields: Sequence[Field]) -> bytes:
    if not fields:
        return wire
    picked = chance.choice(fields)
    times = chance.choice((1, 2, 5)) if picked.end - picked.start > 1_000 else chance.choice((1, 2, 40))
    return wire + wire[picked.start : picked.end] * times


def _drop(chance: random.Random, wire: bytes, fields: Sequence[Field]) -> bytes:
    if not fields:
        return wire
    picked = chance.choice(fields)
    return wire[: picked.start] + wire[picked.end :]


def _swap(chance: random.Random, wire: bytes, fields: Sequence[Field]) -> bytes:
    parts = [wire[item.start : item.end] for item in fields]
    chance.shuffle(parts)
    return b"".join(parts)


def _retype(chance: random.Random, wire: bytes, fields: Sequence[Field]) -> bytes:
    if not fields:
        return wire
    picked = chance.choice(fields)
    tag = varint(picked.number << 3 | chance.randrange(8))
    return wire[: picked.start] + tag + wire[picked.value :]


def _renumber(chance: random.Random, wire: bytes, fields: Sequence[Field]) -> bytes:
    if not fields:
        return wire
    picked = chance.choice(fields)
    number = chance.choice((0, 1, 2, 3, 7, 15, 16, 100, 19_000, 2**29 - 1))
    return wire[: picked.start] + framed(number, wire[picked.value : picked.end]) + wire[picked.end :]


def _stranger(chance: random.Random, wire: bytes, _: Sequence[Field]) -> bytes:
    number = chance.choice((11, 100, 18_999, 2**29 - 1))
    kinds = (
        varint(number << 3) + varint(2**64 - 1),
        varint(number << 3 | FIXED64) + bytes(8),
        framed(number, chance.randbytes(chance.choice((0, 1, 300)))),
        varint(number << 3 | FIXED32) + bytes(4),
    )
    return wire + chance.choice(kinds)


def _group(chance: random.Random, wire: bytes, _: Sequence[Field]) -> bytes:
    number = chance.choice((1, 2, 99))
    deep = chance.choice((1, 1, 5, GROUPS_DEEP))
    opening = varint(number << 3 | GROUP_START) * deep
    closing = varint(number << 3 | GROUP_END) * (deep - chance.choice((0, 0, 1)))
    return wire + opening + closing


def _bad_text(chance: random.Random, wire: bytes, fields: Sequence[Field]) -> bytes:
    texts = [item for item in fields if item.kind == BYTES]
    if not texts:
        return wire
    picked = chance.choice(texts)
    return wire[: picked.start] + framed(picked.number, chance.choice(_BAD_UTF8)) + wire[picked.end :]


def _bad_varint(chance: random.Random, wire: bytes, fields: Sequence[Field]) -> bytes:
    number = chance.choice(fields).number if fields else 1
    return wire + varint(number << 3) + chance.choice(_BAD_VARINTS)


def _lie(chance: random.Random, wire: bytes, fields: Sequence[Field]) -> bytes:
    """State another length than the field has."""
    texts = [item for item in fields if item.kind == BYTES]
    if not texts:
        return wire
    picked = chance.choice(texts)
    length = chance.choice((0, 1, picked.end - picked.value + 1, 2**31 - 1, 2**31, 2**63, 2**64 - 1))
    tag = varint(picked.number << 3 | BYTES)
    return wire[: picked.start] + tag + varint(length) + wire[picked.value :]


_DAMAGES: Final[tuple[Callable[[random.Random, bytes, Sequence[Field]], bytes], ...]] = (
    _flip,
    _flip,
    _truncate,
    _repeat,
    _drop,
    _swap,
    _retype,
    _renumber,
    _stranger,
    _group,
    _bad_text,
    _bad_varint,
    _lie,
)
