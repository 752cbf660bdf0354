"""The same scan on Spark, for what one machine does not hold: the same functions in its tasks, its joins for ours.

Reads the numbered copy that `sources` makes, or any Parquet of that form. Owns nothing but the order of the
joins; needs the extra `spark` and Java. The threshold's connections are found on the driver: 16 bytes a pair.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import msgspec

from headwater.identity.bulk.packing import Components
from headwater.identity.domain.clustering.guards import Guards
from headwater.identity.domain.clustering.linkage import Members, Rules
from headwater.identity.domain.clustering.memory import Memory
from headwater.identity.domain.clustering.sharing import is_generic, named, watched
from headwater.identity.domain.normalising import normalise, weak_of
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.taking_apart import parts_of
from headwater.identity.domain.scoring.weights import Weights, dump, load

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

Prepared = tuple[int, str, bytes, list[str]]
"""Number, id, stored parts, and `kind|value` of the keys."""
Edge = tuple[int, int, float]


def scan_on_spark(
    spark: SparkSession,
    path: str,
    object_name: str,
    weights: Weights,
    *,
    region: str | None = None,
    key_rows_max: int = 40,
    rules: Rules | None = None,
) -> list[Members]:
    """Return the groups of two records or more of a numbered Parquet file.

    Args:
        path: a file of `n`, `id` and the fields, as `FileSource.copy` writes it.
    """
    rules = rules or Rules()
    rows = spark.read.parquet(path)
    fields = [name for name in rows.columns if name not in {"n", "id"}]
    prepared: RDD[Prepared] = rows.rdd.mapPartitions(partial(_prepare, fields, object_name, region)).cache()
    shared = _shared(prepared, account=object_name == "account")
    pairs = _pairs(prepared, key_rows_max)
    edges = _edges(prepared, pairs, dump(weights), shared, rules.missing_bits).cache()
    tie_bits_min = rules.tie_bits_min(object_name)
    linking = edges.filter(lambda edge: edge[2] >= tie_bits_min)
    component = _components(linking.map(lambda edge: (edge[0], edge[1])).toLocalIterator(), prepared.count())
    inside = edges.map(lambda edge: (component.get(edge[0]), edge)).filter(
        lambda one: one[0] is not None and component.get(one[1][1]) == one[0]
    )
    records = prepared.map(lambda one: (component.get(one[0]), one[:3])).filter(
        lambda one: one[0] is not None
    )
    linked = records.cogroup(inside).flatMap(
        lambda one: _link(list(one[1][0]), list(one[1][1]), dump(weights), shared, rules)
    )
    return sorted(linked.collect())


def _prepare(
    fields: list[str], object_name: str, region: str | None, rows: Iterable[Any]
) -> Iterator[Prepared]:
    encode = msgspec.msgpack.Encoder().encode
    for number, name, *values in rows:
        raw = {field: value for field, value in zip(fields, values, strict=True) if value}
        normal = normalise(object_name, raw, region=region)
        parts = parts_of(normal)
        keys = [f"{kind}|{value}" for kind, value in (*parts.strong, *weak_of(normal))]
        yield number, name, encode(parts), keys


def _shared(prepared: RDD[Prepared], *, account: bool) -> frozenset[str]:
    """Return the generic values."""

    def names(record: Prepared) -> Iterator[tuple[tuple[str, str], frozenset[str]]]:
        parts = msgspec.msgpack.decode(record[2], type=Parts)
        name = named(parts)
        return ((key, frozenset({name})) for key in watched(parts) if name)

    found = prepared.flatMap(names).reduceByKey(lambda one, other: one | other)
    generic = found.filter(lambda one: is_generic(one[0][0], one[1], account=account))
    return frozenset(generic.map(lambda one: one[0][1]).collect())


def _pairs(prepared: RDD[Prepared], rows_max: int) -> RDD[tuple[int, int]]:
    """Return the pairs that share a key which at most *rows_max* records have, each once."""
    holders = prepared.flatMap(lambda record: [(key, record[0]) for key in record[3]])
    counted = holders.mapValues(lambda _: 1).reduceByKey(lambda one, other: one + other)
    telling = counted.filter(lambda one: 1 < one[1] <= rows_max)
    groups = holders.join(telling).mapValues(lambda one: one[0]).groupByKey()
    return groups.flatMap(lambda one: combinations(sorted(one[1]), 2)).distinct()


def _edges(
    prepared: RDD[Prepared],
    pairs: RDD[tuple[int, int]],
    weights: bytes,
    shared: frozenset[str],
    missing_bits: float,
) -> RDD[Edge]:
    """Return the pairs that say more than a pair never compared, with their bits."""
    stored = prepared.map(lambda record: (record[0], record[2]))
    with_low = pairs.join(stored).map(lambda one: (one[1][0], (one[0], one[1][1])))
    both = with_low.join(stored).map(lambda one: (one[1][0][0], one[0], one[1][0][1], one[1][1]))

    def score(rows: Iterable[tuple[int, int, bytes, bytes]]) -> Iterator[Edge]:
        scale, decode = load(weights), msgspec.msgpack.Decoder(Parts).decode
        for low, high, ours, theirs in rows:
            bits = score_bits(decode(ours), decode(theirs), scale, shared)
            if bits > missing_bits:
                yield low, high, bits

    return both.mapPartitions(score)


def _components(pairs: Iterable[tuple[int, int]], records: int) -> dict[int, int]:
    """Return the component of each record that has one."""
    components, seen = Components(records), array("q")
    for low, high in pairs:
        components.join(low, high)
        seen.extend((low, high))
    return {record: components.of(record) for record in seen}


def _link(
    records: list[tuple[int, str, bytes]],
    edges: list[Edge],
    weights: bytes,
    shared: frozenset[str],
    rules: Rules,
) -> list[Members]:
    """Link one component."""
    memory = Memory(load(weights), rules)
    memory.shared.update(shared)
    names = {number: name for number, name, _ in records}
    memory.parts.update({name: msgspec.msgpack.decode(stored, type=Parts) for _, name, stored in records})
    for low, high, bits in edges:
        one, other = names[low], names[high]
        memory.edges[one][other] = memory.edges[other][one] = bits
    found = memory.group(memory.parts, Guards(memory.parts, rules, shared=memory.shared))
    return [group for group in found.groups if len(group) > 1]
