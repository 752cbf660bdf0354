"""What processes of this machine use while a run lasts: CPU time and resident memory, by name. Reads, never acts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one named group of processes at one moment.

    Args:
        at_s: of `time.monotonic`.
        cpu_s: used since the watch began.
        rss_bytes: shared pages count once per process, so Postgres looks larger than it is.
    """

    at_s: float
    cpu_s: float
    rss_bytes: int


@dataclass(slots=True)
class Watch:
    """Samples of named groups: each a few processes and all their descendants."""

    roots: Mapping[str, Iterable[int]]
    samples: dict[str, list[Usage]] = field(default_factory=dict)
    _seen: dict[tuple[str, int], float] = field(default_factory=dict)
    _used: dict[str, float] = field(default_factory=dict)

    def sample(self, now_s: float) -> None:
        """Add a sample of every group; processes that are gone keep what they used until the sample before."""
        for name, pids in self.roots.items():
            first = name not in self.samples
            rss_bytes = 0
            for process in _family(pids):
                try:
                    with process.oneshot():
                        times = process.cpu_times()
                        rss_bytes += process.memory_info().rss
                except psutil.Error:
                    continue
                cpu_s = times.user + times.system
                before = self._seen.get((name, process.pid), cpu_s if first else 0.0)
                self._used[name] = self._used.get(name, 0.0) + max(0.0, cpu_s - before)
                self._seen[name, process.pid] = cpu_s
            usage = Usage(now_s, self._used.get(name, 0.0), rss_bytes)
            self.samples.setdefault(name, []).append(usage)

    def between(self, begin_s: float, end_s: float) -> dict[str, list[Usage]]:
        """Return the samples of a stretch of time, the last one before it included."""
        found: dict[str, list[Usage]] = {}
        for name, samples in self.samples.items():
            inside = [item for item in samples if begin_s <= item.at_s <= end_s]
            before = [item for item in samples if item.at_s < begin_s][-1:]
            found[name] = before + inside
        return found


def _family(pids: Iterable[int]) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                found[process.pid] = process
        except psutil.Error:
            continue
    return list(found.values())
