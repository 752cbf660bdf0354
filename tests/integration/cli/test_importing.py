"""`headwater import`, against a fake ingest at the process's edge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from tests.doubles.fake_ingest import FakeIngest, serving
from typer.testing import CliRunner, Result

from headwater.cli.app import app
from headwater.kernel.errors import Unavailable

WORDS = ("--source", "billing", "--object", "contact", "--json")


@pytest.fixture
def fake() -> FakeIngest:
    """The service's double."""
    return FakeIngest()


@pytest.fixture
def environment(fake: FakeIngest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose ingest is the double."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serving(fake)) as address,
    ):
        yield {
            "HEADWATER_INGEST_ADDRESS": address,
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
            "HEADWATER_TENANT": "acme",
        }


def typed(environment: dict[str, str], *words: object) -> Result:
    """Type `headwater import`."""
    return CliRunner().invoke(app, ["import", *(str(word) for word in words)], env=environment)


def a_file(folder: Path, text: str, encoding: str = "cp1252") -> Path:
    """Write a file as an office program does."""
    file = folder / "people.csv"
    file.write_bytes(text.encode(encoding))
    return file


def test_rows_become_events_and_bad_ones_are_kept_with_their_number(
    environment: dict[str, str], fake: FakeIngest, tmp_path: Path
) -> None:
    """Encoding and delimiter found out; a row with too few cells and one without id go on as unreadable rows."""
    file = a_file(tmp_path, "id;name\n1;André Lefèvre\n2\n;Nobody\n4;Françoise Maître\n")
    done = typed(environment, file, *WORDS)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["rows"], told["notes"]) == (4, {"quarantined.missing_id": 1, "quarantined.too_few_cells": 1})
    payloads = [json.loads(payload) for payload in fake.ledger.values()]
    assert {"id": "1", "name": "André Lefèvre"} in payloads
    bad = [payload["headwater_unreadable"] for payload in payloads if "headwater_unreadable" in payload]
    assert [(item["row"], item["reason"], item["raw"]) for item in bad] == [
        (2, "too_few_cells", "2"),
        (3, "missing_id", "id=; name=Nobody"),
    ]


def test_a_second_import_is_all_duplicates(environment: dict[str, str], tmp_path: Path) -> None:
    """Bad rows too: the same row is the same event."""
    file = a_file(tmp_path, "id,name\n1,A\n2\n3,C\n")
    typed(environment, file, *WORDS)
    assert json.loads(typed(environment, file, *WORDS).stdout)["outcomes"] == {"duplicate": 3}


def test_an_interrupted_import_goes_on_where_it_was(
    environment: dict[str, str], fake: FakeIngest, tmp_path: Path
) -> None:
    """A service that goes away in the middle: the next call sends only what was not acknowledged."""

    def before(number: int) -> None:
        if number == 3:
            raise Unavailable("gone")

    fake.before = before
    file = a_file(tmp_path, "id,name\n" + "".join(f"{number},N\n" for number in range(2000)))
    first = typed(environment, file, *WORDS)
    sent_first = sum(fake.received)
    fake.before = lambda _number: None
    second = typed(environment, file, *WORDS)
    assert second.exit_code == 0, second.output
    assert json.loads(second.stdout)["rows"] == 2000
    assert len(fake.ledger) == 2000
    if first.exit_code != 0:  # the client's own retries may have carried it through
        assert "going on after row" in second.stderr
        assert sum(fake.received) - sent_first < 2000


def test_a_dry_run_sends_nothing_and_tells_everything(
    environment: dict[str, str], fake: FakeIngest, tmp_path: Path
) -> None:
    """How the file is read, how many rows are good, which are not and why."""
    file = a_file(tmp_path, "id;name\n1;André Lefèvre\n2\n3;Françoise Maître;x\n")
    done = typed(environment, file, *WORDS, "--dry-run")
    told = json.loads(done.stdout)
    assert (told["encoding"], told["delimiter"]) == ("cp1252 (detected)", "';'")
    assert told["rows"] == {"readable": 1, "too_few_cells": 1, "too_many_cells": 1}
    assert told["bad"] == [{"row": 2, "reason": "too_few_cells"}, {"row": 3, "reason": "too_many_cells"}]
    assert fake.ledger == {}


def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A header with a name twice: no row could be trusted."""
    done = typed(environment, a_file(tmp_path, "id,id\n1,2\n"), *WORDS)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["reason"] == "BAD_HEADER"
