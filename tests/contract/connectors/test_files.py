"""Files through the conformance suite, on the real file system."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headwater.connectors.base import Account, CallFailed, ErrorClass, Reference, Target, Write, Written
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.base.testing.conformance import ODD_TEXT, ConnectorConformance
from headwater.connectors.base.testing.lab import Lab, Subject
from headwater.connectors.files.client import VENDOR, FilesVendor
from headwater.connectors.files.folder import SEGMENTS_MAX
from headwater.kernel.errors import InvalidInput

pytestmark = pytest.mark.anyio

PEOPLE = Target("contact", "people", "external_id", ("name", "email", "text"))


@dataclass(slots=True)
class FilesLab(Lab):
    """A folder."""

    folder: Path = field(kw_only=True)

    def lines(self) -> list[dict[str, Any]]:
        """Return every line of every segment, in order."""
        segments = sorted(self.folder.glob("changes-*.jsonl"))
        return [json.loads(line) for segment in segments for line in segment.read_text().splitlines()]

    def count(self) -> int:
        return len({line["external_id"] for line in self.lines()})

    def effects(self) -> list[str]:
        held: dict[str, dict[str, Any]] = {}
        told = []
        for line in self.lines():
            before = held.get(line["external_id"])
            told.append(
                "created" if before is None else "unchanged" if before == before | line else "updated"
            )
            held[line["external_id"]] = {**(before or {}), **line}
        return told


def an_account(root: Path, url: str = "file:///crm?format=csv") -> Account:
    """Return an account below *root*."""
    return Account("files", url, {"root": str(root)})


class TestFiles(ConnectorConformance):
    """Files."""

    subject = Subject(
        vendor=VENDOR, evidence="real server", person=PEOPLE, email="email", name="name", text="text"
    )

    @pytest.fixture
    async def lab(self, tmp_path: Path, anyio_backend: str) -> AsyncIterator[FilesLab]:
        """An empty folder."""
        assert anyio_backend == "asyncio"
        gate = RecordingGate()
        connector = FilesVendor().open(an_account(tmp_path), gate)
        assert (await connector.prepare([PEOPLE])).ok
        yield FilesLab(self.subject, gate, connector, folder=tmp_path / "crm" / "people")
        await connector.aclose()
        await connector.aclose()


@pytest.mark.evidence("files", "upsert", "real server")
async def test_the_snapshot_holds_every_record_once_for_programs_and_for_people(tmp_path: Path) -> None:
    """Created, changed, cleared and linked: one row each, in JSON lines and in CSV."""
    connector = FilesVendor().open(an_account(tmp_path), RecordingGate())
    await connector.upsert(PEOPLE, [Write(f"e-{n}", "", {"name": ODD_TEXT, "text": "x"}) for n in (2, 1)])
    links = (Reference("company", ("c-1",)),)
    await connector.upsert(PEOPLE, [Write("e-1", "e-1", {"text": None, "email": "a@x.example"}, links)])
    await connector.aclose()
    folder = tmp_path / "crm" / "people"
    rows = [json.loads(line) for line in (folder / "snapshot.jsonl").read_text().splitlines()]
    first = {"external_id": "e-1", "name": ODD_TEXT, "text": None, "email": "a@x.example", "company": ["c-1"]}
    assert rows == [first, {"external_id": "e-2", "name": ODD_TEXT, "text": "x"}]
    with (folder / "snapshot.csv").open(newline="") as lines:
        shown = list(csv.DictReader(lines))
    assert [(row["external_id"], row["name"], row["text"]) for row in shown] == [
        ("e-1", ODD_TEXT, ""),
        ("e-2", ODD_TEXT, "x"),
    ]
    assert sorted(item.name for item in folder.iterdir()) == ["snapshot.csv", "snapshot.jsonl"]


@pytest.mark.evidence("files", "upsert", "real server")
async def test_what_was_written_is_there_for_the_next_process(tmp_path: Path) -> None:
    """Without a goodbye, from segments alone; and a repeat finds the first try."""
    first = FilesVendor().open(an_account(tmp_path), RecordingGate())
    await first.upsert(PEOPLE, [Write("e-1", "", {"name": "A"})])
    first._close = lambda: None  # type: ignore[method-assign]  # noqa: SLF001 - a process that is killed closes nothing
    os.close(first._lock_fd)  # noqa: SLF001 - the kernel does
    second = FilesVendor().open(an_account(tmp_path), RecordingGate())
    assert (await second.look_up(PEOPLE, ["e-1"]))["e-1"].fields["name"] == "A"
    assert await second.upsert(PEOPLE, [Write("e-1", "", {"name": "A"})]) == [Written("e-1", created=False)]
    await second.aclose()


@pytest.mark.evidence("files", "upsert", "real server")
async def test_many_batches_leave_few_files(tmp_path: Path) -> None:
    """Segments are folded into the snapshot as they come."""
    connector = FilesVendor().open(an_account(tmp_path), RecordingGate())
    for number in range(SEGMENTS_MAX + 3):
        await connector.upsert(PEOPLE, [Write("e-1", "", {"name": str(number)})])
    folder = tmp_path / "crm" / "people"
    assert len(list(folder.glob("changes-*"))) == 3
    assert (await connector.look_up(PEOPLE, ["e-1"]))["e-1"].fields["name"] == str(SEGMENTS_MAX + 2)
    await connector.aclose()


@pytest.mark.evidence("files", "test-connection", "real server")
async def test_two_processes_do_not_write_the_same_folder(tmp_path: Path) -> None:
    """The second is told who has it, and may go on when the first is done."""
    one, other = (FilesVendor().open(an_account(tmp_path), RecordingGate()) for _ in range(2))
    assert (await one.test_connection()).ok
    report = await other.test_connection()
    assert (report.ok, "another process" in report.findings[0]) == (False, True)
    await one.aclose()
    assert (await other.test_connection()).ok
    await other.aclose()


@pytest.mark.evidence("files", "errors", "real server")
async def test_a_link_that_leads_out_of_the_granted_directory_is_refused(tmp_path: Path) -> None:
    """Whoever can make links below the root gets nowhere else by it."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "crm").symlink_to(elsewhere)
    connector = FilesVendor().open(an_account(root), RecordingGate())
    with pytest.raises(CallFailed) as failed:
        await connector.upsert(PEOPLE, [Write("e-1", "", {"name": "A"})])
    assert failed.value.error.error_class is ErrorClass.PERMISSION
    assert list(elsewhere.iterdir()) == []
    await connector.aclose()


@pytest.mark.evidence("files", "prepare", "real server")
async def test_an_object_whose_name_is_no_folder_is_told(tmp_path: Path) -> None:
    """Nothing is made of `../people`."""
    connector = FilesVendor().open(an_account(tmp_path), RecordingGate())
    report = await connector.prepare([Target("contact", "../people", "external_id", ())])
    assert (report.ok, "../people" in report.findings[0]) == (False, True)
    await connector.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example/",
        "file://host/crm",
        "file:///../etc",
        "file:///a/../../b",
        "file:///crm?format=xls",
    ],
)
def test_a_url_that_is_no_path_below_the_root_is_refused(tmp_path: Path, url: str) -> None:
    """Only file:///path of plain names."""
    with pytest.raises(InvalidInput):
        FilesVendor().open(an_account(tmp_path, url), RecordingGate())


def test_a_root_must_be_granted(tmp_path: Path) -> None:
    """Without credentials there is no directory to write to."""
    del tmp_path
    with pytest.raises(InvalidInput, match="root"):
        FilesVendor().open(Account("files", "file:///crm", {}), RecordingGate())
