"""Values at the edges of what a field can hold: the raw material of strategies and mutator alike. Pure."""

from __future__ import annotations

import json
import random
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from tests.fuzz.policy import FIELDS, POLICY, SOURCES, TIME_S

from headwater.kernel.ids import ObjectName

INTEGERS: Final = (
    0,
    1,
    2,
    3,
    4,
    5,
    15,
    50,
    99,
    500,
    501,
    999,
    1000,
    1001,
    65_535,
    2**31 - 1,
    2**53,
    2**63 - 1,
)
"""Cut to the width of a field by `fit`; their negatives count too."""

TEXTS: Final = (
    "",
    " ",
    "\0",
    "a\0b",
    "\x07",
    "\x7f\x85",
    "\u2028\u2029",
    "\ufeff",
    "\ufffe\uffff",
    "\u202eabc\u202c",
    "e\u0301" * 40,
    "\u0e49" * 64,
    "\U0001f469\u200d\U0001f4bb",
    "\U0010ffff",
    "İı",
    "ﷺ" * 10,
    "²³",
    "٣٤",
    "a" * 62,
    "a" * 63,
    "a" * 64,
    "x" * 127,
    "x" * 128,
    "x" * 129,
    "y" * 255,
    "y" * 256,
    "é" * 255,
    "\U0001f600" * 255,
    "z" * 513,
    "w" * 70_000,
    "release:x",
    "headwater",
    "identity",
    "contact",
    "None",
    "null",
    "'; drop table ingest.event; --",
    "%s %d %(x)s {0} {x}",
    "../../etc/passwd",
    "\\u0000",
    "\r\nx: y",
    "\t",
)
NAMES: Final = (*SOURCES, "headwater", "hubspot", "a", "a.b_c-d", "A", "1a", "a" * 63, "a" * 64, "a\n")
OBJECT_NAMES: Final = (*FIELDS, "identity", "Contact", "contacts", "")
TRACEPARENTS: Final = (
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0١",  # noqa: RUF001 - a digit that is none of ours
)
TRACESTATES: Final = ("", "a=1,b=2", "a=", "=", "," * 512, "a=" + "x" * 255, "k@v=ü", "a=1," * 40)
PAGE_TOKENS: Final = (
    "1",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "00000000000000000001",
    "0" * 5000 + "7",
    "-1",
    "²",
    "1.00000000-0000-0000-0000-000000000000",
    "144115188075855872.00000000-0000-0000-0000-000000000000",
    "144115188075855873.00000000-0000-0000-0000-000000000000",
    "99999999999999999999.00000000-0000-0000-0000-000000000000",
    "1.x",
    ".",
    "WyJldmVudCIsIjEiXQ",
    "W10",
    "bnVsbA",
)
KEYS: Final = (
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
    "{00000000-0000-0000-0000-000000000000}",
    "urn:uuid:00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000",
    "٣0000000-0000-0000-0000-000000000000",
)
TIMES: Final = (
    (TIME_S, 0),
    (TIME_S, 999_999_999),
    (0, 0),
    (0, -1),
    (-1, 999_999_999),
    (-62_135_596_800, 0),
    (253_402_300_799, 999_999_999),
    (253_402_300_800, 0),
    (2**63 - 1, 2**31 - 1),
    (-(2**63), -(2**31)),
    (2**32, 1_500_000_000),
    (TIME_S, -999_999_999),
)
"""Seconds and nanoseconds: about the epoch, at the years 1 and 9999 and beyond, nanoseconds out of range."""

_NUMBERS: Final = (
    "0",
    "-0",
    "1e400",
    "-1e400",
    "1e-400",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "1" * 308,
    "1" * 400,
    "9" * 4_299,
    "9" * 4_301,
    "9" * 9_000,
    "0." + "3" * 400,
    "1E+2",
    "01",
    "1.",
    ".5",
    "+1",
    "NaN",
    "Infinity",
    "-Infinity",
)
_SCALARS: Final = (
    *_NUMBERS,
    "null",
    "true",
    "false",
    "{}",
    "[]",
    '""',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\u0000"',
    '"\\u0000\\ud800"',
    '"\x01"',
    '"\t"',
    '"a@b.co"',
    '"A@B.CO "',
    '"2026-02-30"',
    '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"',
    '"2026-01-31T12:00:00Z"',
    '"31-12-99"',
    '"12345678"',
    '"٣٤٥٦٧٨"',
    '"1_0"',
    '"nan"',
    '"1e999"',
    '"gold"',
    '"won"',
    '[{"address":"a@b.co","role":"to"}]',
    '[{"address":1}]',
    '[{"address":"x","name":[[[]]]}]',
    "[" + ",".join(['{"address":"a"}'] * 501) + "]",
    '"' + "é" * 2_000 + '"',
    '"' + "x" * 33_000 + '"',
)


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """Return JSON nested that deep."""
    return opening * depth + ("1" if opening != "[" else "") + closing * depth


def _wrapped(value: str, field: str = "name") -> bytes:
    return f'{{"{field}":{value}}}'.encode()


DEPTHS: Final = (2, 30, 63, 64, 65, 100, 127, 128, 400, 480, 490, 900, 960, 985, 1000, 5_000)
ODD_PAYLOADS: Final[tuple[bytes, ...]] = (
    b"",
    b"{}",
    b" {} ",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"{",
    b'{"a"',
    b'{"a":}',
    b'{"a":1,}',
    b'{"a":1}{"b":2}',
    b'{"email":"a@b.co","email":"c@d.co"}',
    b'{"":1}',
    b'{"\\u0000":1}',
    b'{"\\ud800":1}',
    b'{"a":"\xff"}',
    b'{"a":"\xed\xa0\x80"}',
    b'\xef\xbb\xbf{"a":1}',
    '{"a":1}'.encode("utf-16"),
    b"\0",
    b"// comment\n{}",
    b'{"a":' + b"[" * 100_000,
    b'{"a":"' + b"x" * (256 * 1024 - 8) + b'"}',
    b'{"a":"' + b"x" * (256 * 1024 - 7) + b'"}',
    b"{" + b",".join(b'"k%d":%d' % (number, number) for number in range(5_000)) + b"}",
    *(_wrapped(nested(depth)) for depth in DEPTHS),
    *(_wrapped(nested(depth, '{"a":', "}")) for depth in DEPTHS),
    *(_wrapped(nested(depth), "vip") for depth in DEPTHS),
    *(_wrapped(nested(depth), "phone") for depth in DEPTHS),
    *(_wrapped(number, field) for number in _NUMBERS for field in ("name", "phone", "age", "vip")),
)

_ODD_POLICY_LINES: Final = (
    "x: !!timestamp 2026-99-99",
    "x: !!int abc",
    "x: !!float abc",
    "x: !!python/object:os.system {}",
    "x: &a [*a]",
    "x: \x07",
    "? [a]\n: b",
    "x: " + "[" * 300,
    "x: " + "[" * 3_000,
    "- " * 3_000,
    "? " * 3_000,
    "\n".join(" " * number + "a:" for number in range(600)),
    "---\nx: 1\n---\ny: 2",
    "%YAML 9.9",
    "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "\n".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ),
)
ODD_POLICIES: Final[tuple[str, ...]] = (
    POLICY,
    "",
    "[]",
    "1",
    "null",
    "\ufeff" + POLICY,
    POLICY.replace('"%d-%m-%y"', '"%d%d"'),
    POLICY.replace('"%d-%m-%y"', '"%"'),
    POLICY.replace('"%d-%m-%y"', '"%Q"'),
    POLICY.replace("clock_skew_s: 60", "clock_skew_s: .nan"),
    POLICY.replace("clock_skew_s: 60", "clock_skew_s: 1_0"),
    POLICY.replace("chars_max: 200", "chars_max: 99999999999999999999999"),
    POLICY.replace("clock_skew_s: 60", "clock_skew_s: " + "9" * 5_000),
    POLICY.replace("[gold, silver]", "[gold, {a: b}]"),
    POLICY.replace("objects:", "objects: null\nother:"),
    *_ODD_POLICY_LINES,
    *(POLICY + line + "\n" for line in _ODD_POLICY_LINES),
)


def stamp(seconds: int, nanos: int = 0) -> Timestamp:
    """Return a timestamp, in range or not."""
    return Timestamp(seconds=seconds, nanos=nanos)


def fit(number: int, bits: int, *, signed: bool) -> int:
    """Return *number* cut to what a field of that width holds."""
    cut = number & ((1 << bits) - 1)
    return cut - (1 << bits) if signed and cut >> (bits - 1) else cut


def payload_of(chance: random.Random, object_name: str) -> bytes:
    """Return a payload, mostly a JSON object with the fields that the policy reads."""
    draw = chance.random()
    if draw < 0.04:
        return chance.choice(ODD_PAYLOADS)
    names = FIELDS.get(object_name, FIELDS["contact"]) if object_name in FIELDS else FIELDS["contact"]
    if draw < 0.75:
        return json.dumps(_good(chance, names)).encode()
    picked = chance.sample(names, chance.randint(0, len(names)))
    members = [f'"{name}":{chance.choice(_SCALARS)}' for name in picked]
    if draw > 0.98:
        members.append(f'"more":{nested(chance.choice(DEPTHS))}')
    return ("{" + ",".join(members) + "}").encode("utf-8", "surrogatepass")


_GOOD: Final[dict[str, Any]] = {
    "email": "p{}@example.com",
    "phone": "+4930{:07}",
    "born": "01-02-9{}",
    "seen": "2026-01-31T12:00:00Z",
    "at": "2026-01-31T12:00:00+01:00",
    "since": "2019-05-06",
    "site": "https://example.com/{}",
    "vip": True,
    "age": 42,
    "size": 7,
    "score": 0.5,
    "amount": 1e6,
    "token": 12,
    "tier": "A",
    "stage": "won",
    "kind": "call",
    "people": [{"address": "a@b.co", "role": "to", "name": "A"}],
}


def _good(chance: random.Random, names: tuple[str, ...]) -> dict[str, Any]:
    number = chance.randrange(5_000)
    found: dict[str, Any] = {}
    for name in names:
        value = _GOOD.get(name, "Name {}")
        found[name] = (
            value.format(number % 10 if name == "born" else number) if isinstance(value, str) else value
        )
    return found


def payload_for_any(chance: random.Random) -> bytes:
    """Return a payload that keeps the policy's contract whatever its object is."""
    return json.dumps(_good(chance, tuple({name: 0 for names in FIELDS.values() for name in names}))).encode()


def valid_object(chance: random.Random) -> ObjectName:
    """Return one of the objects that the policy knows, contacts most often."""
    return "contact" if chance.random() < 0.5 else chance.choice(tuple(FIELDS))
