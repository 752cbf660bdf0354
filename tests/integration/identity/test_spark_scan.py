"""The scan on a local Spark ends in the same groups; runs where the extra `spark` and Java are."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import duckdb
import pytest
from tests.load.identity.sets import er_directory
from tests.unit.identity.bulk.scans import keyed_rows, write_csv

from headwater.identity.bulk.settings import Limits
from headwater.identity.bulk.sources import FileSource
from headwater.identity.bulk.spark import scan_on_spark
from headwater.identity.domain.clustering.bulk import resolve_all
from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.memory import Memory
from headwater.identity.domain.scoring.priors import shipped

pyspark_sql = pytest.importorskip("pyspark.sql", reason="needs the extra `spark`")
RECORDS = 1_000


@pytest.mark.slow
@pytest.mark.timeout(170)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_spark_gives_the_groups_of_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thousand contacts in local mode, against all of them in memory."""
    with (er_directory() / "crm_synth_dev" / "records.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["cluster_id"])[:RECORDS]
    numbered = tmp_path / "numbered.parquet"
    source = FileSource(write_csv(tmp_path / "rows.csv", rows), left_out=frozenset({"cluster_id", "source"}))
    with duckdb.connect() as connection:
        source.copy(connection, numbered, Limits())
    weights = shipped("contact", RECORDS)
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    builder = pyspark_sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = (
        builder.config("spark.sql.shuffle.partitions", "4")
        .config("spark.default.parallelism", "4")
        .getOrCreate()
    )
    try:
        found = scan_on_spark(spark, str(numbered), "contact", weights)
    finally:
        spark.stop()
    memory = Memory(weights, Rules())
    want = resolve_all(keyed_rows(rows, ignore=("cluster_id", "source")), memory).groups
    assert found == [group for group in want if len(group) > 1]
