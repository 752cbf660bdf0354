"""The tree: grown in any portions it is the one of RFC 6962, and every proof of every size verifies, a changed one never."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headwater.audit.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    TILE_HASHES,
    Span,
    TileKey,
    Tree,
    consistency_spans,
    edge_keys,
    extends,
    includes,
    inclusion_spans,
    root_of,
    span_root,
    tiles_of,
    tree_of,
)

SIZES = st.integers(1, 1_200)


def leaves(count: int) -> list[bytes]:
    """Return leaves that differ."""
    return [sha256(b"\x00%d" % number).digest() for number in range(count)]


def straight(items: list[bytes]) -> bytes:
    """Return the root as RFC 6962, 2.1 defines it, word by word."""
    if len(items) == 1:
        return items[0]
    middle = 1
    while middle * 2 < len(items):
        middle *= 2
    return sha256(b"\x01" + straight(items[:middle]) + straight(items[middle:])).digest()


def grown(count: int, cuts: list[int]) -> tuple[Tree, dict[TileKey, bytes]]:
    """Grow a tree portion by portion, and keep its tiles as a store does."""
    tree, tiles = Tree(), dict[TileKey, bytes]()
    items = leaves(count)
    for start, end in pairwise([0, *sorted({cut % count for cut in cuts} - {0}), count]):
        for growth in tree_of(tree.size, tiles).append(items[start:end]):
            held = tiles.get(growth.key, b"")
            assert len(held) == growth.offset * HASH_BYTES
            tiles[growth.key] = held + b"".join(growth.hashes)
        tree = tree_of(end, tiles)
    return tree, tiles


def proof(spans: list[Span], tiles: dict[TileKey, bytes]) -> list[bytes]:
    """Return the hashes of a proof, from no other tiles than it asks for."""
    asked = {key: tiles[key] for key in tiles_of(spans)}
    return [span_root(span, asked) for span in spans]


@given(SIZES)
def test_the_root_is_that_of_the_standard(count: int) -> None:
    """However it is computed: in layers, tile by tile, or as the standard has it."""
    items = leaves(count)
    tree = Tree()
    tree.append(items)
    assert tree.root() == root_of(items) == straight(items)


def test_a_tree_without_leaves_has_the_root_of_the_standard() -> None:
    """The hash of nothing."""
    assert Tree().root() == EMPTY_ROOT == sha256().digest()


@given(SIZES, st.lists(st.integers(0, 10_000), max_size=6))
def test_portions_do_not_matter(count: int, cuts: list[int]) -> None:
    """A tree that is put away and taken up again is the one grown at once; no tile is larger than it may be."""
    tree, tiles = grown(count, cuts)
    assert tree.root() == root_of(leaves(count))
    assert max(map(len, tiles.values())) <= TILE_HASHES * HASH_BYTES
    assert set(edge_keys(count)) <= set(tiles)


def test_a_tree_of_three_levels_is_put_away_and_taken_up() -> None:
    """Above 65,536 leaves there is a third level of tiles."""
    tree, tiles = grown(65_536 + 300, [1, 65_535, 65_537])
    assert max(key.level for key in tiles) == 2
    assert tree.root() == root_of(leaves(65_536 + 300))
    for index in (0, 65_535, 65_536, 65_835):
        path = proof(inclusion_spans(index, tree.size), tiles)
        assert includes(leaves(index + 1)[-1], index, tree.size, path, tree.root())


@given(SIZES, st.data())
def test_every_entry_is_proven_in_every_size(count: int, data: st.DataObject) -> None:
    """From the tiles of the whole tree, for any size that it has had, with logarithmically many hashes."""
    size = data.draw(st.integers(1, count))
    index = data.draw(st.integers(0, size - 1))
    _, tiles = grown(count, [])
    path = proof(inclusion_spans(index, size), tiles)
    root = root_of(leaves(size))
    assert includes(leaves(size)[index], index, size, path, root)
    assert len(path) <= size.bit_length()
    assert not includes(leaves(size)[index], (index + 1) % (size + 1), size, path, root)


@given(SIZES, st.data())
def test_a_changed_bit_of_an_inclusion_proof_proves_nothing(count: int, data: st.DataObject) -> None:
    """Whether it is in the leaf, in the root or in any hash of the path; nor does a hash more or less."""
    index = data.draw(st.integers(0, count - 1))
    _, tiles = grown(count, [])
    parts = [leaves(count)[index], root_of(leaves(count)), *proof(inclusion_spans(index, count), tiles)]
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    changed = [flipped(part, bit) if number == which else part for number, part in enumerate(parts)]
    assert not includes(changed[0], index, count, changed[2:], changed[1])
    assert not includes(parts[0], index, count, [*parts[2:], parts[0]], parts[1])
    if len(parts) > 2:
        assert not includes(parts[0], index, count, parts[2:-1], parts[1])


@given(SIZES, st.data())
def test_every_two_sizes_are_proven_consistent_and_changed_ones_not(count: int, data: st.DataObject) -> None:
    """Of any two sizes; a changed bit in a root or the path breaks it, and so does another history."""
    second = data.draw(st.integers(1, count))
    first = data.draw(st.integers(1, second))
    _, tiles = grown(count, [])
    parts = [
        root_of(leaves(first)),
        root_of(leaves(second)),
        *proof(consistency_spans(first, second), tiles),
    ]
    assert extends(first, parts[0], second, parts[1], parts[2:])
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    changed = [flipped(part, bit) if number == which else part for number, part in enumerate(parts)]
    assert not extends(first, changed[0], second, changed[1], changed[2:])
    assert not extends(first, parts[0], second, parts[1], [*parts[2:], parts[0]])


def flipped(value: bytes, bit: int) -> bytes:
    """Return *value* with one bit changed."""
    return value[: bit // 8] + bytes([value[bit // 8] ^ 1 << bit % 8]) + value[bit // 8 + 1 :]
