"""Runs a command of the vault: `python -m headwater.sync.vault`, its order on stdin; see `app`."""

from __future__ import annotations

import os
import sys

import anyio

from headwater.sync.vault.app import run

if __name__ == "__main__":
    sys.exit(anyio.run(run, os.environ))
