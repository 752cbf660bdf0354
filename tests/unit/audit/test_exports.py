"""Files of the audit: read as they were written, refused with a reason when they are something else."""

from __future__ import annotations

import pytest
from tests.unit.audit.histories import NOON, OURS, TENANT, THEIRS, change, history

from headwater.audit.checkpoints import Checkpoint, PublicKey, write_line
from headwater.audit.exports import (
    EntryProof,
    NoExport,
    complaint_of,
    encode,
    read_entries,
    read_front,
    read_proof,
    write_front,
)
from headwater.audit.merkle import Tree, inclusion_spans, root_of

KEY = PublicKey(OURS.key_id, OURS.public_key, NOON)
KEYS = {OURS.key_id: OURS.public_key}


def front(*checkpoints: Checkpoint) -> list[bytes]:
    """Return the lines before the entries."""
    return [*write_front(TENANT, 30, [write_line(KEY)], [write_line(item) for item in checkpoints])]


def test_what_stands_before_the_entries_is_read_back() -> None:
    """And nothing of the entries with it."""
    found = history(30, 10)
    lines = iter([*front(*found.checkpoints), encode(found.entries[0])])
    read = read_front(lines)
    assert (read.header.tenant_id, read.header.size, read.lines) == (TENANT, 30, 5)
    assert (read.keys, read.checkpoints) == ((KEY,), found.checkpoints)
    assert [entry.seq for entry in read_entries(lines)] == [1]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"no json"],
        [b'{"tenant_id": "acme"}'],
        front(*history(30, 10).checkpoints)[:-1],
        [front()[0].replace(b"headwater-audit/1", b"headwater-audit/9"), write_line(KEY)],
    ],
)
def test_what_is_no_export_is_refused(lines: list[bytes]) -> None:
    """An empty file, another one, one cut off, one of a later release."""
    with pytest.raises(NoExport):
        read_front(iter(lines))


def test_a_line_that_is_no_entry_is_refused() -> None:
    """Not passed over."""
    with pytest.raises(NoExport, match="no entry"):
        list(read_entries([b"{}"]))


def proof(seq: int) -> EntryProof:
    """Return the proof of one of 30 entries under the checkpoint of 20."""
    found = history(30, 10)
    leaves = [item.leaf for item in found.entries]
    path = tuple(root_of(leaves[low:high]) for low, high in inclusion_spans(seq - 1, 20))
    return EntryProof(found.entries[seq - 1], path, found.checkpoints[1], (KEY,))


@pytest.mark.parametrize("seq", [1, 7, 20])
def test_a_proof_stands_alone(seq: int) -> None:
    """Read back from its file it proves the entry, with or without a second place."""
    read = read_proof(encode(proof(seq)))
    assert complaint_of(read, KEYS, ()) == ""
    assert complaint_of(read, KEYS, history(30, 10).checkpoints) == ""


def test_a_proof_says_why_it_proves_nothing() -> None:
    """Another key, a checkpoint that the second place does not know, another entry, another number, another tenant."""
    made = proof(7)
    tree = Tree()
    tree.append([item.leaf for item in history(30, 10).entries[:20]])
    forged = THEIRS.sign(TENANT, 20, tree.root(), NOON, bytes(32))
    others = OURS.sign("other", 20, tree.root(), NOON, bytes(32))
    cases = {
        "known keys": change(made, checkpoint=forged),
        "the second place": change(made, checkpoint=OURS.sign(TENANT, 20, tree.root(), NOON, bytes(32))),
        "does not give its leaf": change(made, entry=change(made.entry, actor="nobody")),
        "does not lead": change(made, entry=change(made.entry, seq=8)),
        "the checkpoint of 'other'": change(made, checkpoint=others),
    }
    told = [*history(30, 10).checkpoints, others]
    for words, case in cases.items():
        assert words in complaint_of(case, KEYS, told)
    with pytest.raises(NoExport):
        read_proof(b"{}")
