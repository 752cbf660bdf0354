"""The pages of numbers of the processes on this machine, found as Prometheus finds them: by the files they write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from headwater.kernel.metrics.names import Metric

TIMEOUT_S: Final = 2.0
TARGETS_DIR_VARIABLE: Final = "HEADWATER_METRICS_TARGETS_DIR"


class _Target(msgspec.Struct):
    targets: list[str]


@dataclass(frozen=True, slots=True)
class Page:
    """What one process tells.

    Args:
        samples: name of a sample and its labels to its value; none where the process does not answer.
    """

    process: str
    samples: Mapping[str, tuple[tuple[Mapping[str, str], float], ...]]

    @property
    def answers(self) -> bool:
        """Whether the process told anything."""
        return bool(self.samples)

    def of(self, metric: Metric) -> Iterator[tuple[Mapping[str, str], float]]:
        """Yield labels and value of each sample of a counter or gauge."""
        yield from self.samples.get(metric.sample_name, ())


async def read_pages(targets_dir: Path) -> tuple[Page, ...]:
    """Return the page of every process that wrote a file there; none where there is no such directory."""
    folder = anyio.Path(targets_dir)
    files = sorted([Path(file) async for file in folder.glob("*.json")]) if await folder.is_dir() else []
    found: dict[Path, Page] = {}

    async def read(http: httpx.AsyncClient, file: Path) -> None:
        found[file] = Page(file.stem, await _samples(http, file))

    async with (
        httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as http,
        anyio.create_task_group() as tasks,
    ):
        for file in files:
            tasks.start_soon(read, http, file)
    return tuple(found[file] for file in files)


async def _samples(
    http: httpx.AsyncClient, file: Path
) -> dict[str, tuple[tuple[Mapping[str, str], float], ...]]:
    try:
        groups = msgspec.json.decode(await anyio.Path(file).read_bytes(), type=list[_Target])
        answer = await http.get(f"http://{groups[0].targets[0]}/metrics")
        text = answer.raise_for_status().text
    except (OSError, httpx.HTTPError, msgspec.MsgspecError, IndexError):
        return {}
    read: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            read.setdefault(sample.name, []).append((sample.labels, sample.value))
    return {name: tuple(samples) for name, samples in read.items()}
