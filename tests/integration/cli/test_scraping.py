"""Pages of numbers as commands read them: from the real door, found by the file it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headwater.cli.scraping import read_pages
from headwater.kernel.metrics import Metrics, names
from headwater.kernel.metrics.door import DoorSettings, serving_metrics

pytestmark = pytest.mark.anyio


async def test_a_processs_numbers_are_read_from_its_door(tmp_path: Path) -> None:
    """Counters and gauges with their labels, under the process's name."""
    metrics = Metrics("sync")
    metrics.gauge(names.LOG_LAG).of().set(12.5)
    metrics.counter(names.SPANS).of("dropped").value = 3.0
    async with serving_metrics(DoorSettings("127.0.0.1:0", str(tmp_path), "sync", 2), metrics):
        (page,) = await read_pages(tmp_path)
    assert (page.process, page.answers) == ("sync-2", True)
    assert list(page.of(names.LOG_LAG)) == [({}, 12.5)]
    assert {labels["result"]: value for labels, value in page.of(names.SPANS)}["dropped"] == 3.0


@pytest.mark.parametrize(
    "text", [json.dumps([{"targets": ["127.0.0.1:1"], "labels": {}}]), "[]", "no json", '[{"targets": []}]']
)
async def test_a_process_that_does_not_answer_is_named_all_the_same(tmp_path: Path, text: str) -> None:
    """What a killed process leaves behind, or a file that is none, is a process without numbers."""
    (tmp_path / "ingest-1.json").write_text(text)
    (page,) = await read_pages(tmp_path)
    assert (page.process, page.answers, list(page.of(names.SPANS))) == ("ingest-1", False, [])


async def test_without_a_directory_there_are_no_pages(tmp_path: Path) -> None:
    """Where services write no targets there is nothing to read."""
    assert await read_pages(tmp_path / "none") == ()
