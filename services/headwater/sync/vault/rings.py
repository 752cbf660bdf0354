"""The key ring in a file of this account alone, or in an environment variable. Owns both formats.

Both are JSON: `{"ID": "32 bytes in base64", ...}`, the oldest first. A file is replaced whole, so no reader sees half
of it; it is read again when it has changed.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from anyio import to_thread

from headwater.sync.vault.envelope import KEY_BYTES, RingKey
from headwater.sync.vault.ports import KeyRing, KeyRingFault

FILE_NAME: Final = "vault-keys.json"
KEYS_MAX: Final = 64
RING_BYTES_MAX: Final = 65_536
_OTHERS: Final = 0o077
_KEY_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def ring_of(reference: str, data_dir: Path, environment: Mapping[str, str]) -> KeyRing:
    """Return the ring that a setting names.

    Args:
        reference: `env:NAME`, a path, or empty for the file in the data directory.
    """
    if reference.startswith("env:"):
        return EnvironmentRing(reference.removeprefix("env:"), environment)
    return FileRing(Path(reference).expanduser() if reference else data_dir / FILE_NAME)


class FileRing:
    """The ring in a file with mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: Mapping[str, RingKey] = {}

    @property
    def where(self) -> str:
        """Return the file."""
        return str(self._path)

    async def read(self) -> Mapping[str, RingKey]:
        """Return the keys; none when there is no file."""
        return await to_thread.run_sync(self._read)

    async def add(self, key: RingKey) -> None:
        """Keep a new key; the file is made when it is not there."""
        await to_thread.run_sync(self._change, lambda keys: keys.setdefault(key.key_id, key))

    async def discard(self, key_id: str) -> None:
        """Forget a key."""
        await to_thread.run_sync(self._change, lambda keys: keys.pop(key_id, None))

    def _read(self) -> Mapping[str, RingKey]:
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                if stat.st_mode & _OTHERS:
                    raise KeyRingFault(
                        f"others may read {self._path}; allow it to this account alone (chmod 600)"
                    )
                self._keys = parse(self._path.read_text(encoding="utf-8"), str(self._path))
                self._seen = seen
        except FileNotFoundError:
            self._seen, self._keys = None, {}
        except (OSError, UnicodeDecodeError) as error:
            raise KeyRingFault(f"the key ring {self._path} cannot be read: {error}") from error
        return self._keys

    def _change(self, change: Callable[[dict[str, RingKey]], object]) -> None:
        try:
            with self._alone():
                keys = dict(self._read())
                change(keys)
                self._replace(written(keys))
        except OSError as error:
            raise KeyRingFault(f"the key ring {self._path} cannot be written: {error}") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from changing the ring meanwhile."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        lock = os.open(self._path.with_name(f".{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _replace(self, text: str) -> None:
        """Put a whole new file in place, durably: a key is on disk before anything is wrapped with it."""
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class EnvironmentRing:
    """The ring in an environment variable: whoever sets it adds and takes away keys."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._environment = environment

    @property
    def where(self) -> str:
        """Return the variable."""
        return f"environment variable {self._name}"

    async def read(self) -> Mapping[str, RingKey]:
        """Return the keys; none when the variable is not set."""
        text = self._environment.get(self._name, "").strip()
        return parse(text, self.where) if text else {}

    async def add(self, key: RingKey) -> None:
        """Refuse: the environment is not ours to change."""
        raise KeyRingFault(
            f"{self.where} cannot be changed from here: add a new key (32 random bytes in base64) to it, "
            f"everywhere, then call this again; id {key.key_id!r} would do"
        )

    async def discard(self, key_id: str) -> None:
        """Refuse: the environment is not ours to change."""
        raise KeyRingFault(f"key {key_id!r} is retired; take it out of {self.where}")


def parse(text: str, where: str) -> Mapping[str, RingKey]:
    """Return the keys of a ring's text.

    Raises: KeyRingFault, without a word of what it holds.
    """
    if len(text) > RING_BYTES_MAX:
        raise KeyRingFault(f"the key ring ({where}) is larger than {RING_BYTES_MAX} bytes")
    try:
        given = json.loads(text)
        keys = {
            key_id: RingKey(key_id, base64.b64decode(key, validate=True)) for key_id, key in given.items()
        }
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise KeyRingFault(f"the key ring ({where}) must be a JSON object of keys in base64") from None
    if len(keys) > KEYS_MAX:
        raise KeyRingFault(f"the key ring ({where}) has more than {KEYS_MAX} keys")
    for key_id, key in keys.items():
        if not _KEY_ID.fullmatch(key_id) or len(key.material) != KEY_BYTES:
            raise KeyRingFault(
                f"the key ring ({where}): {key_id[:63]!r} must be a name (a-z, 0-9, -) of {KEY_BYTES} bytes"
            )
    return keys


def written(keys: Mapping[str, RingKey]) -> str:
    """Return a ring as text."""
    listed = {key.key_id: base64.b64encode(key.material).decode() for key in keys.values()}
    return json.dumps(listed, indent=1) + "\n"
