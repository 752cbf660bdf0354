"""Key rings: files of this account alone, environment variables, and what is wrong with them."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from headwater.sync.vault.envelope import RingKey
from headwater.sync.vault.ports import KeyRingFault
from headwater.sync.vault.rings import EnvironmentRing, FileRing, parse, ring_of, written

pytestmark = pytest.mark.anyio

ONE = RingKey("key-1", b"1" * 32)
TWO = RingKey("key-2", b"2" * 32)


async def test_a_file_is_made_for_this_account_alone_and_keeps_order(tmp_path: Path) -> None:
    """Mode 0600, the oldest key first; adding twice keeps the first."""
    path = tmp_path / "deep" / "keys.json"
    ring = FileRing(path)
    assert await ring.read() == {}
    await ring.add(ONE)
    await ring.add(TWO)
    await ring.add(RingKey("key-1", b"9" * 32))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list((await FileRing(path).read()).values()) == [ONE, TWO]


async def test_a_change_by_another_process_is_seen_at_the_next_look(tmp_path: Path) -> None:
    """Rotation adds keys while services run."""
    mine, theirs = FileRing(tmp_path / "keys.json"), FileRing(tmp_path / "keys.json")
    await mine.add(ONE)
    assert set(await theirs.read()) == {"key-1"}
    await mine.add(TWO)
    assert set(await theirs.read()) == {"key-1", "key-2"}
    await mine.discard("key-1")
    assert set(await theirs.read()) == {"key-2"}


async def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """Before anything is opened with it."""
    path = tmp_path / "keys.json"
    path.write_text(written({"key-1": ONE}))
    path.chmod(0o640)
    with pytest.raises(KeyRingFault, match="chmod 600"):
        await FileRing(path).read()


async def test_an_environment_ring_is_read_and_never_written() -> None:
    """It tells what to do instead."""
    ring = EnvironmentRing("KEYS", {"KEYS": written({"key-1": ONE})})
    assert await ring.read() == {"key-1": ONE}
    with pytest.raises(KeyRingFault, match="add a new key"):
        await ring.add(TWO)
    with pytest.raises(KeyRingFault, match="take it out"):
        await ring.discard("key-1")


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"key-1": 7}',
        '{"key-1": "***"}',
        json.dumps({"key-1": base64.b64encode(b"short").decode()}),
        json.dumps({"Key 1": base64.b64encode(b"1" * 32).decode()}),
    ],
)
def test_a_bad_ring_is_refused_without_showing_it(text: str) -> None:
    """Neither a key nor half of one stands in the message."""
    with pytest.raises(KeyRingFault) as refused:
        parse(text, "here")
    assert "here" in refused.value.message
    assert base64.b64encode(b"short").decode() not in refused.value.message


async def test_the_setting_names_file_variable_or_nothing(tmp_path: Path) -> None:
    """Empty means the file in the data directory."""
    assert ring_of("", tmp_path, {}).where == str(tmp_path / "vault-keys.json")
    assert ring_of("/etc/keys.json", tmp_path, {}).where == "/etc/keys.json"
    assert ring_of("env:KEYS", tmp_path, {}).where == "environment variable KEYS"
