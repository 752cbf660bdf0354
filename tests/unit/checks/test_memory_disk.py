"""Tests keep their files in memory where there is plenty, and where nobody said otherwise."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from tests.memory_disk import FREE_BYTES_MIN, use_memory_disk


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is led anywhere yet; what a test leads elsewhere is put back."""
    monkeypatch.setenv("TMPDIR", "")
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setattr(tempfile, "tempdir", None)


def _meminfo(folder: Path, free: int) -> Path:
    path = folder / "meminfo"
    path.write_text(f"MemTotal: 99 kB\nMemAvailable:  {free // 1024} kB\n", encoding="ascii")
    return path


@pytest.mark.usefixtures("before")
def test_files_go_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room on the disk and in memory: both."""
    monkeypatch.setattr("tests.memory_disk._free_bytes", lambda _: FREE_BYTES_MIN)
    assert not use_memory_disk(tmp_path, _meminfo(tmp_path, FREE_BYTES_MIN - 1024))
    assert use_memory_disk(tmp_path, _meminfo(tmp_path, FREE_BYTES_MIN))
    assert tempfile.gettempdir() == str(tmp_path)


@pytest.mark.usefixtures("before")
def test_without_such_a_disk_nothing_changes(tmp_path: Path) -> None:
    """No such folder, or no such system."""
    plenty = _meminfo(tmp_path, 2 * FREE_BYTES_MIN)
    assert not use_memory_disk(tmp_path / "none", plenty)
    assert not use_memory_disk(tmp_path, tmp_path / "none")


@pytest.mark.usefixtures("before")
def test_who_says_where_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`TMPDIR` wins."""
    monkeypatch.setenv("TMPDIR", "/tmp")  # noqa: S108
    monkeypatch.setattr("tests.memory_disk._free_bytes", lambda _: FREE_BYTES_MIN)
    assert not use_memory_disk(tmp_path, _meminfo(tmp_path, FREE_BYTES_MIN))
