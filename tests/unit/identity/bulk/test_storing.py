"""Parts come back as they were; a file is there in full or not at all."""

from __future__ import annotations

from pathlib import Path

from tests.unit.identity.people import parts

from headwater.identity.bulk.storing import PartsReader, stored_form, write_parts, write_whole


def test_parts_come_back_by_number(tmp_path: Path) -> None:
    """Across chunks, with what is worked out from them."""
    people = [
        ("a", parts(first_name="Kaya", last_name="Orbeli", email="kaya.orbeli@acorn.test", title="CTO")),
        ("b", parts(first_name="Mirela", last_name="Santanov", phone="+12125550147")),
        ("c", parts(company="Brindle Foods", birth_date="1970-01-02")),
    ]
    stored = [stored_form(name, record) for name, record in people]
    write_parts(tmp_path, 0, stored[:2])
    write_parts(tmp_path, 1, stored[2:])
    read = PartsReader(tmp_path, 2).read([2, 0])
    assert read == {0: people[0], 2: people[2]}
    assert read[0][1].joined == "kayaorbeli"


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """Nothing else is left behind, and what stood there before is replaced."""
    path = tmp_path / "one.jsonl"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]
