"""The stages of a scan in their order, each complete or not there at all.

A stage's tables are committed together with its row in the ledger, and a worker's file is there in full
or not at all: a scan that was killed goes on with the first stage that is not complete, and within it
with the first task.
"""

from __future__ import annotations

import json
import random
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from headwater.identity.bulk.bounds import bound_of
from headwater.identity.bulk.database import BLOCKING, BOUNDS, MACROS, STAGES, Connection, open_database
from headwater.identity.bulk.linking import Linking, Summary, read_summary, summary_path
from headwater.identity.bulk.packing import Task, pack
from headwater.identity.bulk.preparing import Preparing
from headwater.identity.bulk.settings import Limits
from headwater.identity.bulk.sources import FileSource, NumberedRows
from headwater.identity.bulk.storing import PartsReader
from headwater.identity.bulk.working import run_tasks
from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.sharing import ORGANISATIONS_MAX, SURNAMES_MAX, is_generic
from headwater.identity.domain.scoring.learning import learn
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.sizes import doublings_of, shipped_for
from headwater.identity.domain.scoring.weights import Weights, dump, load

STAGE_NAMES: Final = ("copy", "prepare", "block", "weigh", "bound", "link")
"""In their order; the report follows."""

Progress = Callable[[str, int, int], None]
"""Hears of a stage, how much of it is done, and of how much."""
Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is scanned and how.

    Args:
        object: contact, lead or account.
        region: two letters; where numbers and dates are read when a record does not tell.
        learn: weights are learned from the file; else the shipped ones count.
        as_service: the shipped weights are those of the service, which fit the number of records in whole doublings.
        seed: of the sample that is learned from.
    """

    source: FileSource
    object: str
    scratch: Path
    region: str | None = None
    learn: bool = False
    seed: int = 1
    as_service: bool = False
    limits: Limits = field(default_factory=Limits)
    rules: Rules = field(default_factory=Rules)


class Scan:
    """One scan on its scratch directory."""

    def __init__(
        self, plan: Plan, progress: Progress, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._plan, self._hear, self._clock = plan, progress, clock
        self._of = 1
        self._lines_are_there = False
        plan.scratch.mkdir(parents=True, exist_ok=True)
        self.connection: Connection = open_database(plan.scratch, plan.limits)
        self.connection.execute(STAGES["create_stage"].text)
        ledger = self.connection.execute(STAGES["list_stages"].text).fetchall()
        self.facts: dict[str, Facts] = {name: json.loads(facts) for name, _, facts in ledger}
        self.seconds: dict[str, float] = {name: seconds for name, seconds, _ in ledger}

    @property
    def rows_path(self) -> Path:
        """Where the numbered copy of the source stands."""
        return self._plan.scratch / "rows.parquet"

    def run(self, until: str = STAGE_NAMES[-1]) -> None:
        """Run the stages that are not complete, up to *until*."""
        stages: Mapping[str, Callable[[], Facts]] = {
            "copy": self._copy,
            "prepare": self._prepare,
            "block": self._block,
            "weigh": self._weigh,
            "bound": self._bound,
            "link": self._link,
        }
        for name in STAGE_NAMES[: STAGE_NAMES.index(until) + 1]:
            if name not in self.facts:
                self._complete(name, stages[name])

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def _progress(self, stage: str, done: int, of: int) -> None:
        self._of = of
        self._hear(stage, done, of)

    def _complete(self, name: str, stage: Callable[[], Facts]) -> None:
        self._progress(name, 0, 1)
        started = self._clock()
        self.connection.begin()
        facts = stage()
        seconds = self._clock() - started
        noted = {"name": name, "seconds": seconds, "facts": json.dumps(facts)}
        self.connection.execute(STAGES["complete_stage"].text, noted)
        self.connection.commit()
        self.facts[name], self.seconds[name] = facts, seconds
        self._progress(name, self._of, self._of)

    def _copy(self) -> Facts:
        rows = self._plan.source.copy(self.connection, self.rows_path, self._plan.limits)
        return {"records": rows.count, "fields": list(rows.fields)}

    def _prepare(self) -> Facts:
        preparing = self._preparing()
        missing = {
            f"{chunk:05}": chunk
            for chunk in range(preparing.chunks)
            if not preparing.lines_path(chunk).exists()
        }
        done = preparing.chunks - len(missing)
        for _ in run_tasks(preparing, missing, self._plan.limits.cores):
            done += 1
            self._progress("prepare", done, preparing.chunks)
        return {}

    def _preparing(self) -> Preparing:
        copied = self.facts["copy"]
        rows = NumberedRows(self.rows_path, tuple(copied["fields"]), copied["records"])
        plan = self._plan
        return Preparing(rows, plan.object, plan.region, plan.scratch, plan.limits.chunk_records)

    def _block(self) -> Facts:
        rows_max, run = {"rows_max": self._plan.limits.key_rows_max}, self.connection.execute
        self._read_lines()
        account = self._plan.object == "account"
        limits = ORGANISATIONS_MAX if account else SURNAMES_MAX
        watched = {"names_max": min(limits.values()), "account": account}
        named = run(BLOCKING["list_shared_names"].text, watched).fetchall()
        shared = {value for kind, value, names in named if is_generic(kind, names, account=account)}
        run(BLOCKING["hash_keys"].text)
        ((crowded, crowd_max),) = run(BLOCKING["count_crowded"].text, rows_max).fetchall()
        run(BLOCKING["pair_up"].text, rows_max)
        run(BLOCKING["forget_keys"].text)
        ((pairs,),) = run(BLOCKING["count_candidates"].text).fetchall()
        return {
            "shared": sorted(shared),
            "candidate_pairs": pairs,
            "keys_crowded": crowded,
            "largest_key_records": crowd_max,
        }

    def _read_lines(self) -> None:
        """Read the workers' lines, unless they are there from the stage before."""
        if not self._lines_are_there:
            preparing = self._preparing()
            paths = [str(preparing.lines_path(chunk)) for chunk in range(preparing.chunks)]
            self.connection.execute(BLOCKING["read_lines"].text, {"paths": paths})
            self._lines_are_there = True

    def _forget_lines(self) -> None:
        if self._lines_are_there:
            self.connection.execute(BLOCKING["forget_lines"].text)
            self._lines_are_there = False

    def _weigh(self) -> Facts:
        plan, count = self._plan, self.facts["copy"]["records"]
        if not plan.learn:
            weights = (
                shipped_for(plan.object, doublings_of(count))
                if plan.as_service
                else shipped(plan.object, count)
            )
            return {"weights": dump(weights).decode(), "sample": 0}
        chance = random.Random(plan.seed)  # noqa: S311 - a sample, not a secret
        sample = sorted(chance.sample(range(count), min(count, plan.limits.learn_records_max)))
        stored = PartsReader(plan.scratch, plan.limits.chunk_records).read(sample)
        records = [parts for _, parts in stored.values()]
        weights = learn(plan.object, records, chance, shared=frozenset(self.facts["block"]["shared"]))
        return {"weights": dump(weights).decode(), "sample": len(records)}

    @property
    def weights(self) -> Weights:
        """The weights of this scan; known once `weigh` is complete."""
        return load(self.facts["weigh"]["weights"].encode())

    def _bound(self) -> Facts:
        run = self.connection.execute
        if self._plan.object == "account":
            run(BOUNDS["create_likely"].text)
            run(BOUNDS["take_all"].text)
            self._forget_lines()
        else:
            self._write_people()
            run(BOUNDS["create_likely"].text)
            run(BOUNDS["set_bound"].text, {"bound": bound_of(self.weights)})
            for name in MACROS:
                run(MACROS[name].text)
            for start, stop in self._slices():
                run(
                    BOUNDS["likely"].text,
                    {
                        "start": start,
                        "stop": stop,
                        "bits_min": self._plan.rules.tie_bits_min(self._plan.object),
                    },
                )
                self._progress("bound", stop, self.facts["copy"]["records"])
            run(BOUNDS["forget_people"].text)
        ((pairs,),) = run(BOUNDS["count_likely"].text).fetchall()
        return {"likely_pairs": pairs}

    def _write_people(self) -> None:
        """Write what the bound reads, apart from the stage's own transaction: lines leave memory only when it ends."""
        run = self.connection.execute
        self._read_lines()
        run(BOUNDS["shared_values"].text, {"shared": self.facts["block"]["shared"]})
        run(BOUNDS["people"].text)
        self._forget_lines()
        self.connection.commit()
        self.connection.begin()

    def _slices(self) -> Iterator[tuple[int, int]]:
        records, pairs = self.facts["copy"]["records"], self.facts["block"]["candidate_pairs"]
        step = max(1, records * self._plan.limits.slice_pairs // max(1, pairs))
        for start in range(0, records, step):
            yield start, min(records, start + step)

    def _link(self) -> Facts:
        low, high = array("q"), array("q")
        found = self.connection.execute(BOUNDS["list_likely"].text)
        while rows := found.fetchmany(_FETCHED_ROWS):
            for one, other in rows:
                low.append(one)
                high.append(other)
        first = self._tasks("a", self._packed(low, high, array("d"), cut=True))
        bits = array("d", [weight for one in first for weight in one.bits])
        low = array("q", [number for one in first for number in one.low])
        high = array("q", [number for one in first for number in one.high])
        second = self._tasks("b", self._packed(low, high, bits, cut=False))
        large = [component for one in (*first, *second) for component in one.large]
        third = self._tasks("c", self._all_pairs(large))
        summaries = [*first, *second, *third]
        bands: dict[int, int] = {}
        for one in summaries:
            for band, pairs in one.bands.items():
                bands[band] = bands.get(band, 0) + pairs
        return {
            "compared_pairs": sum(one.compared for one in summaries),
            "large_components": len(large),
            "bands": sorted(bands.items()),
            "tasks": [
                f"{step}-{at:05}"
                for step, some in (("a", first), ("b", second), ("c", third))
                for at in range(len(some))
            ],
        }

    def _tasks(self, step: str, tasks: list[Task]) -> list[Summary]:
        """Run the tasks of a step that have left no summary yet; return the summaries of all, in order."""
        plan = self._plan
        linking = Linking(
            plan.scratch,
            plan.limits.chunk_records,
            self.facts["weigh"]["weights"].encode(),
            tuple(self.facts["block"]["shared"]),
            plan.rules,
        )
        paths = {f"{step}-{at:05}": summary_path(plan.scratch, f"{step}-{at:05}") for at in range(len(tasks))}
        missing = {
            key: task for (key, path), task in zip(paths.items(), tasks, strict=True) if not path.exists()
        }
        done = len(tasks) - len(missing)
        for _ in run_tasks(linking, missing, plan.limits.cores):
            done += 1
            self._progress("link", done, len(tasks))
        return [read_summary(path) for path in paths.values()]

    def _packed(self, low: array[int], high: array[int], bits: array[float], *, cut: bool) -> list[Task]:
        return pack(low, high, bits, self.facts["copy"]["records"], self._plan.limits.chunk_pairs, cut=cut)

    def _all_pairs(self, large: list[list[int]]) -> list[Task]:
        """Return tasks with every candidate pair within components."""
        members = {
            "components": [at for at, component in enumerate(large) for _ in component],
            "records": [record for component in large for record in component],
        }
        found = self.connection.execute(BLOCKING["list_pairs_within"].text, members).fetchall()
        low, high = array("q", [one for one, _ in found]), array("q", [other for _, other in found])
        tasks = self._packed(low, high, array("d"), cut=False)
        return [replace(task, all_pairs=True) for task in tasks]


_FETCHED_ROWS: Final = 10_000
"""Pairs that are read from the database at a time."""
