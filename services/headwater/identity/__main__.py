"""Starts the identity service: `python -m headwater.identity`."""

from __future__ import annotations

from headwater.identity.app import SERVICE, serve
from headwater.identity.settings import IdentitySettings
from headwater.kernel.lifecycle import leave
from headwater.kernel.service import run_service

if __name__ == "__main__":
    leave(run_service(SERVICE, IdentitySettings, serve))
