"""The door of a process's numbers: loopback, bounded, found by a file that Prometheus reads."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import anyio.abc
import httpx
import pytest

from headwater.kernel.errors import StartRefused
from headwater.kernel.metrics import Metrics
from headwater.kernel.metrics.book import OPENMETRICS
from headwater.kernel.metrics.door import CONNECTIONS_MAX, HEAD_BYTES_MAX, DoorSettings, serving_metrics


async def _get(port: int, path: str = "/metrics", method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.request(method, f"http://127.0.0.1:{port}{path}", headers=headers)


async def test_the_door_tells_the_numbers_to_who_asks_for_them() -> None:
    """GET /metrics has them, in the format that is asked for; nothing else is there."""
    async with serving_metrics(DoorSettings("127.0.0.1:0", "", "ingest"), Metrics("ingest")) as port:
        told = await _get(port, accept=f"{OPENMETRICS}; version=1.0.0")
        assert "headwater_ingest_events_total" in told.text
        assert told.text.endswith("# EOF\n")
        assert (await _get(port, "/")).status_code == httpx.codes.NOT_FOUND
        assert (await _get(port, method="POST")).status_code == httpx.codes.METHOD_NOT_ALLOWED


async def test_prometheus_finds_each_process_by_its_file(tmp_path: Path) -> None:
    """A process writes where its door is when it opens, and takes the file away when it ends in order."""
    async with (
        serving_metrics(DoorSettings("127.0.0.1:0", str(tmp_path), "ingest", 1), Metrics("ingest")) as first,
        serving_metrics(DoorSettings("127.0.0.1:0", str(tmp_path), "ingest", 2), Metrics("ingest")) as second,
    ):
        told = [json.loads((tmp_path / f"ingest-{number}.json").read_text()) for number in (1, 2)]
        assert [one[0]["targets"] for one in told] == [[f"127.0.0.1:{first}"], [f"127.0.0.1:{second}"]]
        assert told[1][0]["labels"] == {"service": "ingest", "replica": "2"}
    assert [path async for path in anyio.Path(tmp_path).iterdir()] == []


async def test_the_second_process_listens_one_port_higher() -> None:
    """With a fixed port every process of a service has one of its own, known beforehand."""
    async with serving_metrics(DoorSettings("127.0.0.1:0", "", "ingest"), Metrics("ingest")) as free:
        pass
    async with serving_metrics(DoorSettings(f"127.0.0.1:{free}", "", "ingest", 2), Metrics("ingest")) as port:
        assert port == free + 1


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:9401"])
async def test_the_door_is_on_loopback_or_there_is_none(address: str) -> None:
    """Numbers tell a lot about a business: nobody reads them from outside."""
    with pytest.raises(StartRefused, match="loopback"):
        async with serving_metrics(DoorSettings(address, "", "ingest"), Metrics("ingest")):
            pass


async def test_without_an_address_there_is_no_door() -> None:
    """A process that was told nothing listens nowhere."""
    async with serving_metrics(DoorSettings("", "", "ingest"), Metrics("ingest")) as port:
        assert port == 0


async def test_who_holds_connections_open_keeps_nobody_from_the_process() -> None:
    """Beyond its bound a connection is closed as it comes; when the others go, the door answers again."""
    async with serving_metrics(DoorSettings("127.0.0.1:0", "", "ingest"), Metrics("ingest")) as port:
        idle = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(httpx.TransportError):
            await _get(port)
        for stream in idle:
            await stream.aclose()
        await anyio.wait_all_tasks_blocked()
        assert (await _get(port)).status_code == httpx.codes.OK


async def test_a_head_without_end_is_not_read() -> None:
    """Whoever sends more than a head may have is left without an answer."""
    async with (
        serving_metrics(DoorSettings("127.0.0.1:0", "", "ingest"), Metrics("ingest")) as port,
        await anyio.connect_tcp("127.0.0.1", port) as stream,
    ):
        await stream.send(b"x" * (2 * HEAD_BYTES_MAX))
        with anyio.fail_after(5), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
