"""The files connector: folders of one account, behind a lock that other processes honour."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import anyio.to_thread

from headwater.connectors.base.batch import check_batch
from headwater.connectors.base.capabilities import Capabilities
from headwater.connectors.base.doubt import InDoubtProtocol, Promise, WriteKind, keyed_kind
from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.port import (
    Account,
    CallGate,
    Found,
    LimitFacts,
    Outcome,
    Report,
    Target,
    Vendor,
    Write,
    Written,
)
from headwater.connectors.base.reports import explain
from headwater.connectors.files.folder import Folder, FolderFull
from headwater.kernel.errors import InvalidInput

BATCH_RECORDS_MAX: Final = 1000
"""Records of one segment."""
FORMATS: Final = ("jsonl", "csv")
LOCK: Final = ".lock"
_OBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_DONE: Final = 200
_Result = TypeVar("_Result")

CAPABILITIES: Final = Capabilities(
    objects=("*",),
    batch_records_max=BATCH_RECORDS_MAX,
    references=True,
    validates=False,
    ordered_answers=True,
    schema_discovery=True,
    over_http=False,
)
_SAME: Final = Promise(
    repeat_safe=True,
    reason="a row is keyed by its external id, and the same fields set twice are the same row",
)
IN_DOUBT: Final[InDoubtProtocol] = {WriteKind.UPSERT: _SAME, WriteKind.UPDATE: _SAME}


class FilesVendor:
    """Files as the registry finds them."""

    name = "files"
    capabilities = CAPABILITIES
    fails_by_endpoint = False
    in_doubt = IN_DOUBT

    def write_kind(self, target: Target, write: Write) -> WriteKind:  # noqa: ARG002 - all objects alike
        """Return the kind of *write*: keyed either way."""
        return keyed_kind(write)

    def open(self, account: Account, gate: CallGate) -> FilesConnector:
        """Return a connector; no I/O yet.

        Raises:
            InvalidInput: the credentials have no absolute `root`, or the URL is no path below it.
        """
        root = Path(account.credentials.get("root", ""))
        if not root.is_absolute():
            message = f"credentials of {account.name!r}: root must be the absolute path of a directory"
            raise InvalidInput(message, reason="FILES_ROOT")
        return FilesConnector(gate, root, *_place_of(account.base_url))


class FilesConnector:
    """One directory with a folder per object."""

    def __init__(self, gate: CallGate, root: Path, below: str, file_format: str) -> None:
        self._gate = gate
        self._root = root
        self._directory = root / below
        self._renders_csv = file_format == "csv"
        self._folders: dict[str, Folder] = {}
        self._turn = anyio.Lock()
        self._lock_fd = -1

    async def prepare(self, targets: Sequence[Target]) -> Report:
        """Make every object's folder; report those that cannot be."""
        findings = [
            f"files: {target.crm_object!r} is no name for a folder: letters, digits, dots, dashes"
            for target in targets
            if not _OBJECT.fullmatch(target.crm_object)
        ]
        for target in targets:
            if _OBJECT.fullmatch(target.crm_object):
                await self._do("write", partial(self._folder, target))
        return Report.of(findings, "files: every folder is there")

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Bring about the writes: all of the batch or, when it raises, none."""
        check_batch(writes, BATCH_RECORDS_MAX)
        changes = [(write.crm_id or write.external_id, _fields(write)) for write in writes]
        created = await self._do("write", lambda: self._folder(target).write(changes))
        return [Written(external_id, created[external_id]) for external_id, _changed in changes]

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Return the rows of these external ids."""

        def read() -> dict[str, Found]:
            rows = {one: self._folder(target).row(one) for one in external_ids}
            return {
                one: Found(one, one, {name: _held(row.get(name)) for name in target.fields})
                for one, row in rows.items()
                if row is not None
            }

        return await self._do("read", read)

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the ids that are there, each its own."""
        return {one: one for one in await self.look_up(target, crm_ids)}

    async def test_connection(self) -> Report:
        """Take the directory's lock and say what to do when that fails."""
        try:
            await self._do("read", self._hold)
        except CallFailed as failed:
            return Report(ok=False, findings=(explain("files", failed.error),))
        return Report(ok=True, findings=(f"files: {self._directory} can be written",))

    async def aclose(self) -> None:
        """Compact every folder and give the directory back."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close)

    async def _do(self, endpoint_class: str, work: Callable[[], _Result]) -> _Result:
        async with self._gate.call("FILE", "/{object}", endpoint_class=endpoint_class) as ticket, self._turn:
            try:
                with anyio.CancelScope(shield=True):  # a thread cannot be stopped: its end is waited for
                    result = await anyio.to_thread.run_sync(work)
            except (OSError, FolderFull) as error:
                raise CallFailed(_failure(error)) from error
            ticket.answered(_DONE, LimitFacts())
            return result

    def _folder(self, target: Target) -> Folder:
        self._hold()
        if target.crm_object not in self._folders:
            if not _OBJECT.fullmatch(target.crm_object):
                raise OSError(f"{target.crm_object!r} is no name for a folder")
            place = self._directory / target.crm_object
            self._folders[target.crm_object] = Folder(
                place, target.external_id_field, renders_csv=self._renders_csv
            )
        return self._folders[target.crm_object]

    def _hold(self) -> None:
        """Hold the directory; a second process must not write the same files."""
        if self._lock_fd >= 0:
            return
        if not self._root.is_dir():
            raise FileNotFoundError(f"the granted directory {self._root} is not there")
        self._directory.mkdir(parents=True, exist_ok=True)
        if not self._directory.resolve().is_relative_to(self._root.resolve()):
            raise PermissionError(f"{self._directory} leads out of the granted directory")
        opened = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(opened)
            raise BlockingIOError(f"another process writes to {self._directory}") from None
        self._lock_fd = opened

    def _close(self) -> None:
        try:
            for folder in self._folders.values():
                folder.compact()
        except OSError:
            self._folders.clear()  # what is not compacted stands in its segments
        finally:
            self._folders.clear()
            if self._lock_fd >= 0:
                os.close(self._lock_fd)
                self._lock_fd = -1


def _place_of(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    chosen = options.pop("format", ["jsonl"])[-1]
    below = unquote(parts.path).strip("/")
    names = below.split("/") if below else []
    if parts.scheme != "file" or parts.netloc or options or chosen not in FORMATS:
        raise InvalidInput(
            "the URL must be file:///path, with ?format=csv or ?format=jsonl", reason="FILES_URL"
        )
    if any(not _OBJECT.fullmatch(name) for name in names):
        raise InvalidInput("the URL's path must be of letters, digits, dots and dashes", reason="FILES_URL")
    return below, chosen


def _held(value: object) -> object:
    """Return a value as look-ups tell it: empty text is none."""
    return None if value == "" else value


def _fields(write: Write) -> dict[str, object]:
    links = {item.name: list(item.crm_ids) for item in write.references}
    return {**write.fields, **links}


def _failure(error: Exception) -> VendorError:
    if isinstance(error, FolderFull):
        return VendorError(ErrorClass.QUOTA, "FOLDER_FULL", str(error))
    if isinstance(error, PermissionError):
        return VendorError(ErrorClass.PERMISSION, "NOT_WRITABLE", str(error))
    return VendorError(ErrorClass.SERVER, type(error).__name__, str(error))


VENDOR: Final[Vendor] = FilesVendor()
