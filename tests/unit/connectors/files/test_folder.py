"""A folder of records is whole after a crash at any step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.connectors.files import folder as module
from headwater.connectors.files.folder import Folder


class Crash(Exception):
    """The machine stops."""


IDS = st.sampled_from(["a", "b", "c"])
CHANGES = st.lists(
    st.lists(st.tuples(IDS, st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 9))), max_size=3),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40)
@given(batches=CHANGES, crash_at=st.integers(1, 30))
def test_a_crash_anywhere_loses_at_most_the_batch_under_way(
    batches: list[list[tuple[str, dict[str, int]]]], crash_at: int
) -> None:
    """Every acknowledged batch is there after reopening; the one under way is there whole or not at all."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        steps = 0
        replace, unlink = Path.replace, Path.unlink

        def counted(real: object) -> object:
            def step(self: Path, *given: object, **named: object) -> object:
                nonlocal steps
                steps += 1
                if steps == crash_at:
                    raise Crash
                return real(self, *given, **named)  # type: ignore[operator]

            return step

        patch.setattr(os, "fsync", lambda _opened: None)  # what it promises no test can show
        patch.setattr(Path, "replace", counted(replace))
        patch.setattr(Path, "unlink", counted(unlink))
        expected: dict[str, dict[str, int]] = {}
        under_way: list[tuple[str, dict[str, int]]] = []
        opened = Folder(Path(place), "id", renders_csv=False, segments_max=2)
        try:
            for batch in batches:
                under_way = batch
                opened.write(batch)
                _apply(expected, batch)
        except Crash:
            pass
        patch.undo()
        again = Folder(Path(place), "id", renders_csv=False)
        held = {one: _plain(again.row(one)) for one in ("a", "b", "c") if again.row(one) is not None}
        with_it = {key: dict(value) for key, value in expected.items()}
        _apply(with_it, under_way)
        assert held in (expected, with_it)


def _apply(held: dict[str, dict[str, int]], batch: list[tuple[str, dict[str, int]]]) -> None:
    for external_id, fields in batch:
        held.setdefault(external_id, {}).update(fields)


def _plain(row: dict[str, object] | None) -> dict[str, object]:
    return {name: value for name, value in (row or {}).items() if name != "id"}


def test_a_folder_has_its_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are held in memory, so their number is bounded; nothing of the batch is kept."""
    monkeypatch.setattr(module, "RECORDS_MAX", 1)
    opened = Folder(tmp_path, "id", renders_csv=False)
    with pytest.raises(module.FolderFull):
        opened.write([("a", {}), ("b", {})])
    assert opened.row("a") is None
    assert list(tmp_path.iterdir()) == []
