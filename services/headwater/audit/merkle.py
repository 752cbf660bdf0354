"""The Merkle tree of RFC 6962, kept in tiles of 256 hashes: growing it, proofs from it, and their verification. Pure.

A tile of level L holds the hashes of 256 neighbouring complete subtrees of 256^L leaves, at L = 0 the leaves
themselves. Only complete subtrees are stored, so nothing written is ever changed, and a proof of any size that the
tree has had needs two tiles a level at the most. Source: RFC 6962 section 2.1; RFC 9162 2.1.3.2 and 2.1.4.2 for the
verification; C2SP tlog-tiles for the idea of tiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

TILE_BITS: Final = 8
TILE_HASHES: Final = 1 << TILE_BITS
HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


class TileKey(NamedTuple):
    """Where a tile stands."""

    level: int
    number: int


Span = tuple[int, int]
"""Leaves from the first up to but not including the second."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Hashes to add to one tile.

    Args:
        offset: hashes that the tile has already.
    """

    key: TileKey
    offset: int
    hashes: tuple[bytes, ...]


@dataclass(slots=True)
class Tree:
    """A tree that leaves are added to: its size, and per level the hashes of the tile that is not full yet."""

    size: int = 0
    edges: list[list[bytes]] = field(default_factory=lambda: [[]])

    def append(self, leaves: Sequence[bytes]) -> list[Growth]:
        """Add *leaves*; return what that adds to tiles."""
        grown: list[Growth] = []
        level, added = 0, leaves
        before = self.size
        self.size += len(leaves)
        while added:
            if level == len(self.edges):
                self.edges.append([])
            edge, start, above = self.edges[level], before >> (TILE_BITS * level), []
            place = 0
            while place < len(added):
                part = tuple(added[place : place + TILE_HASHES - len(edge)])
                grown.append(Growth(TileKey(level, (start + place) >> TILE_BITS), len(edge), part))
                place += len(part)
                edge.extend(part)
                if len(edge) == TILE_HASHES:
                    above.append(root_of(edge))
                    edge.clear()
            level, added = level + 1, above
        return grown

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        rest: bytes | None = None
        for edge in self.edges:
            hashes = edge if rest is None else [*edge, rest]
            rest = root_of(hashes) if hashes else None
        return EMPTY_ROOT if rest is None else rest


def edge_keys(size: int) -> list[TileKey]:
    """Return the tiles that are not full in a tree of *size* leaves: what it takes to go on growing it."""
    keys: list[TileKey] = []
    level = 0
    while size >> (TILE_BITS * level):
        if (size >> (TILE_BITS * level)) % TILE_HASHES:
            keys.append(TileKey(level, size >> (TILE_BITS * (level + 1))))
        level += 1
    return keys


def tree_of(size: int, tiles: Mapping[TileKey, bytes]) -> Tree:
    """Return the tree of *size* leaves from the tiles that `edge_keys` named.

    Raises:
        KeyError, ValueError: a tile is not there, or is shorter than the size says.
    """
    keys = edge_keys(size)
    edges: list[list[bytes]] = [[] for _ in range(max((key.level for key in keys), default=0) + 1)]
    for key in keys:
        count = (size >> (TILE_BITS * key.level)) % TILE_HASHES
        edges[key.level] = hashes_of(tiles[key])[:count]
        if len(edges[key.level]) < count:
            raise ValueError(f"tile {key} holds {len(edges[key.level])} hashes of {count}")
    return Tree(size, edges)


def hashes_of(tile: bytes) -> list[bytes]:
    """Return the hashes that stand one behind the other in *tile*."""
    return [tile[start : start + HASH_BYTES] for start in range(0, len(tile), HASH_BYTES)]


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash over two."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over *hashes*, at least one; the last may stand for an incomplete subtree."""
    layer = list(hashes)
    while len(layer) > 1:
        odd = [layer.pop()] if len(layer) % 2 else []
        pairs = iter(layer)
        layer = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
        layer += odd
    return layer[0]


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return the spans whose roots prove the leaf *index* (from 0) in a tree of *size*, the nearest first."""
    low, high, spans = 0, size, []
    while high - low > 1:
        middle = low + _largest_power_below(high - low)
        if index < middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    return spans[::-1]


def consistency_spans(first: int, second: int) -> list[Span]:
    """Return the spans whose roots prove that a tree of *second* leaves goes on from one of *first*, 1..second."""
    low, high, whole, spans = 0, second, True, []
    while first != high:
        middle = low + _largest_power_below(high - low)
        if first <= middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low, whole = middle, False
    return [*([] if whole else [(low, high)]), *reversed(spans)]


def tiles_of(spans: Iterable[Span]) -> set[TileKey]:
    """Return the tiles that the roots of *spans* are made from."""
    return {_tile(height, first) for span in spans for height, first in _complete(span)}


def span_root(span: Span, tiles: Mapping[TileKey, bytes]) -> bytes:
    """Return the root of *span* from the tiles that `tiles_of` named. Raises: KeyError, ValueError."""
    peaks = []
    for height, first in _complete(span):
        key = _tile(height, first)
        count = 1 << (height % TILE_BITS)
        offset = (first >> (TILE_BITS * key.level)) % TILE_HASHES
        hashes = hashes_of(tiles[key][offset * HASH_BYTES : (offset + count) * HASH_BYTES])
        if len(hashes) < count:
            raise ValueError(f"tile {key} is too short")
        peaks.append(root_of(hashes))
    found = peaks.pop()
    while peaks:
        found = node(peaks.pop(), found)
    return found


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Say whether *path* proves that *leaf* stands at *index* (from 0) in the tree of *size* under *root*."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node(sibling, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def extends(first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]) -> bool:
    """Say whether *path* proves that the tree of *second* leaves begins with the very leaves of the *first* ones."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not path and first_root == second_root
    steps = [first_root, *path] if first & (first - 1) == 0 else list(path)
    if not steps:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    one = other = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            one, other = node(step, one), node(step, other)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            other = node(other, step)
        place, last = place >> 1, last >> 1
    return last == 0 and one == first_root and other == second_root


def _complete(span: Span) -> list[tuple[int, int]]:
    """Return the complete subtrees that *span* consists of, as height and first leaf, from the left."""
    low, high = span
    parts = []
    while low < high:
        height = (high - low).bit_length() - 1
        parts.append((height, low))
        low += 1 << height
    return parts


def _tile(height: int, first: int) -> TileKey:
    level = height // TILE_BITS
    return TileKey(level, first >> (TILE_BITS * (level + 1)))


def _largest_power_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)
