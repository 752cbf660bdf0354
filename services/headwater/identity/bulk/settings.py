"""Bounds of a scan. Every one is named here, with its unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the machine a scan takes.

    Args:
        cores: worker processes, and threads of the database.
        database_mb: memory of the database; beyond it, it spills to the scratch directory.
        chunk_records: records that one worker prepares at a time.
        chunk_pairs: pairs that one worker scores at a time, give or take one component.
        slice_pairs: candidate pairs whose bound is worked out in one statement.
        key_rows_max: a key that more records have brings nobody together, as in the service.
        learn_records_max: records that weights are learned from, a sample where there are more.
        review_pairs_max: pairs proposed to a person, closest to the threshold first.
    """

    cores: int = 1
    database_mb: int = 1_200
    chunk_records: int = 10_000
    chunk_pairs: int = 20_000
    slice_pairs: int = 2_000_000
    key_rows_max: int = 40
    learn_records_max: int = 50_000
    review_pairs_max: int = 10_000
