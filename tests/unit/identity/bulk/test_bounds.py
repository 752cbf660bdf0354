"""No pair that could reach the threshold is left out by the bound."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.load.identity.sets import er_directory
from tests.unit.identity.bulk.scans import Rows, keyed_rows, plan_of, scanned, write_csv
from tests.unit.identity.people import FIELDS

from headwater.identity.bulk.bounds import bound_of
from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.scores import score_bits

NAMES = st.text("aeoubnrst ", min_size=0, max_size=9)
WORDS = st.lists(st.sampled_from(["acorn", "acron", "freight", "freigth", "of", "brindle"]), max_size=3)
PEOPLE = st.fixed_dictionaries(
    {
        "first_name": NAMES | st.sampled_from(["Kaya", "Robert", "Bob", "R", "Kaya Lin"]),
        "last_name": NAMES | st.sampled_from(["Orbeli", "Orbelli", "de Orbeli", "O"]),
        "email": st.sampled_from(
            [
                "",
                "kaya.orbeli@acorn.test",
                "kaya.orbeil@acorn.test",
                "orbeli7@acorn.test",
                "orbeli7@gmail.com",
            ]
        ),
        "phone": st.sampled_from(["", "+12125550147", "+12125550148; +442079460011", "+442079460011"]),
        "company": WORDS.map(" ".join),
        "title": st.sampled_from(["", "Head of Sales", "Sales Head", "Haed of Sales", "Engineer"]),
        "street": st.sampled_from(["", "4 Mill Lane", "4 Lane Mill", "5 Mil Lane", "Other Road"]),
        "city": st.sampled_from(["", "London", "Lodnon", "Paris"]),
        "postcode": st.sampled_from(["", "40123", "40132", "90001"]),
        "birth_date": st.sampled_from(["", "1970-01-02", "1970-02-01", "1985-11-30"]),
        "tier": st.sampled_from(["", "gold", "golden", "silver"]),
    }
)


def missed(
    rows: Rows, scratch: Path, bits_min: float, *, learn: bool = False
) -> list[tuple[str, str, float]]:
    """Return the candidate pairs that reach *bits_min* and that the bound leaves out."""
    path = write_csv(scratch / "rows.csv", rows)
    scan = scanned(
        plan_of(
            path, scratch, rules=Rules(bits_min=min(bits_min, 0.0), people_tie_bits_min=bits_min), learn=learn
        ),
        "bound",
    )
    try:
        run = scan.connection.execute
        names = dict(run("SELECT n, id FROM read_parquet($path)", {"path": str(scan.rows_path)}).fetchall())
        left_out = run("SELECT low, high FROM candidate EXCEPT SELECT low, high FROM likely").fetchall()
        shared, weights = set(scan.facts["block"]["shared"]), scan.weights
    finally:
        scan.close()
    parts = {record.record_id: record.parts for record in keyed_rows(rows)}
    scored = [
        (names[low], names[high], score_bits(parts[names[low]], parts[names[high]], weights, shared))
        for low, high in left_out
    ]
    return [pair for pair in scored if pair[2] >= bits_min]


@given(
    st.lists(FIELDS | PEOPLE, min_size=2, max_size=20),
    st.sampled_from([-1.0, 3.0, 8.0, 14.0, 20.0]),
)
@settings(max_examples=25, deadline=None)
def test_bound_leaves_out_no_pair_that_reaches_the_threshold(
    rows: list[dict[str, str]], bits_min: float
) -> None:
    """Whatever the names, mailboxes and numbers, and wherever the threshold lies."""
    columns = dict.fromkeys(name for row in rows for name in row)
    numbered = [
        {"id": f"r{at:02}", **{name: row.get(name, "") for name in columns}} for at, row in enumerate(rows)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        assert missed(numbered, Path(scratch), bits_min) == []


@pytest.mark.parametrize("learn", [False, True], ids=["shipped", "learned"])
@pytest.mark.parametrize("bits_min", [-1.0, 6.0, 12.0])
@pytest.mark.parametrize("name", ["crm_synth_dev", "febrl3", "fake_1000"])
def test_bound_holds_on_people_of_other_shapes(
    name: str, bits_min: float, tmp_path: Path, *, learn: bool
) -> None:
    """Contacts, persons of a register and persons with few fields."""
    rows = read_rows(name, 1_000)
    assert missed(rows, tmp_path, bits_min, learn=learn) == []


def read_rows(name: str, records: int) -> list[dict[str, str]]:
    """Return records of a labelled set that belong together where they do, without what tells it."""
    import csv  # noqa: PLC0415

    with (er_directory() / name / "records.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["cluster_id"])[:records]
    random.Random(1).shuffle(rows)
    return [
        {"id": row.pop("rec_id")}
        | {name: value for name, value in row.items() if name not in {"cluster_id", "source"}}
        for row in rows
    ]


def test_bound_of_equal_names_counts_the_rarest_value() -> None:
    """Without rarities an equal name adds nothing beyond its level; the classes cover every pair of them."""
    bound = bound_of(shipped("contact", 1_000))
    assert bound["given_rare"] == 0.0
    assert isinstance(bound["names"], list)
    assert len(bound["names"]) == 12 * 12 * 4
