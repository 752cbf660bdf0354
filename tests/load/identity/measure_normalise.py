"""Measures normalising and keys: `python -m tests.load.identity.measure_normalise`, a few seconds.

Records are those of the synthetic CRM set, in one process; CPU time. Prints records/s of first sight
(every value new to the caches) and of records seen before, the best of several passes each, and how
many keys a record has.
"""

from __future__ import annotations

import csv
import gc
import time
from collections.abc import Mapping, Sequence

from tests.load.identity.measure_resolve import shared_directory

from headwater.identity.domain.normalising import keys_of, normalise

PASSES = 5
WARM_UP = 500
"""Records that pay for the tables of the libraries."""


def read_records() -> list[dict[str, str]]:
    """Read the synthetic contacts."""
    path = shared_directory() / "data" / "er" / "crm_synth_dev" / "records.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def forget() -> None:
    """Empty the caches of the rules; tables of libraries stay."""
    for found in gc.get_objects():
        parameters = getattr(found, "cache_parameters", None)
        if parameters is not None and "normalising" in found.__module__ and parameters()["maxsize"]:
            found.cache_clear()


def measure(records: Sequence[Mapping[str, str]]) -> float:
    """Return records per second of CPU time."""
    started = time.process_time()
    for record in records:
        keys_of(normalise("contact", record))
    return len(records) / (time.process_time() - started)


def main() -> None:
    """Measure and print."""
    records = read_records()
    measure(records[:WARM_UP])
    first, again = [], []
    for _ in range(PASSES):
        forget()
        first.append(measure(records))
        again.append(measure(records))
    keys = [keys_of(normalise("contact", record)) for record in records]
    strong, weak = (
        sum(map(len, part)) / len(keys) for part in zip(*((k.strong, k.weak) for k in keys), strict=True)
    )
    print(f"{len(records):,} records, {strong:.1f} strong and {weak:.1f} weak keys each")  # noqa: T201
    print(f"first sight  {max(first):>8,.0f} records/s")  # noqa: T201
    print(f"seen before  {max(again):>8,.0f} records/s")  # noqa: T201


if __name__ == "__main__":
    main()
