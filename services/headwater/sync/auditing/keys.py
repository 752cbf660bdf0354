"""The key that checkpoints are signed with: from the environment, or a file that is made at first use.

A new key is a new file (move the old one away) or a new value; checkpoints of the old one stay valid, since public
keys are kept in the database and in the second place.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Final

from anyio import to_thread
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from headwater.audit.checkpoints import Signer
from headwater.kernel.errors import HeadwaterError
from headwater.sync.auditing.ports import SecondPlaceFailed
from headwater.sync.secrets import EnvironmentSecrets

SECRET_FIELD: Final = "private_key"  # noqa: S105 - the name of a field
_OTHERS: Final = 0o077


async def load_signer(reference: str, path: Path, secrets: EnvironmentSecrets) -> Signer:
    """Return the signer.

    Args:
        reference: `env:NAME` of a JSON object with `private_key`, the 32 raw bytes in base64; empty: the file.
        path: of the file; made, readable by this account alone, when it is not there.

    Raises:
        SecondPlaceFailed: there is no usable key.
    """
    try:
        if reference:
            raw = base64.b64decode(secrets.read(reference)[SECRET_FIELD], validate=True)
            return Signer(Ed25519PrivateKey.from_private_bytes(raw))
        return await to_thread.run_sync(_from_file, path)
    except (HeadwaterError, OSError, KeyError, ValueError, binascii.Error) as error:
        where = reference or str(path)
        raise SecondPlaceFailed(f"the key of the audit's checkpoints, {where}: {error}") from error


def _from_file(path: Path) -> Signer:
    if not path.exists():
        _make(path)
    if path.stat().st_mode & _OTHERS:
        raise ValueError("others may read it; allow it to this account alone (chmod 600)")
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it is no Ed25519 key")  # noqa: TRY004 - of a file's content
    return Signer(key)


def _make(path: Path) -> None:
    """Make a key, whole or not at all; where another process is faster, its key stands."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, pem)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(made, path)
    except FileExistsError:
        pass
    finally:
        made.unlink()
