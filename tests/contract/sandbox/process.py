"""Starts and stops a sandbox process for tests: a free port, a state directory, the ready line as the only signal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast

import httpx

if TYPE_CHECKING:
    from types import TracebackType

SERVICES = Path(__file__).resolve().parents[3] / "services"
STOP_S_MAX = 10.0
CALL_S_MAX = 10.0
TOKEN_PATHS = {
    "hubspot": "oauth/v1/token",
    "salesforce": "services/oauth2/token",
    "pipedrive": "oauth/token",
    "dynamics": "sandbox/oauth2/v2.0/token",
}


class SandboxProcess:
    """`python -m headwater.sandbox` as a child process; state outlives it in `data_dir`."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self._settings = settings
        self._child: subprocess.Popen[str] | None = None
        self.url = ""
        self.events_address = ""
        self.client = httpx.Client(timeout=CALL_S_MAX)

    def start(self) -> SandboxProcess:
        """Start and wait for the ready line."""
        named = {f"HEADWATER_SANDBOX_{name.upper()}": value for name, value in self._settings.items()}
        place = {"HEADWATER_SANDBOX_PORT": "0", "HEADWATER_SANDBOX_DATA_DIR": str(self.data_dir)}
        path = os.pathsep.join([str(SERVICES), os.environ.get("PYTHONPATH", "")])
        self._child = subprocess.Popen(
            [sys.executable, "-m", "headwater.sandbox"],
            env={**os.environ, **place, **named, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        ready = json.loads(cast("IO[str]", self._child.stdout).readline())
        assert ready["ready"] is True
        self.url = f"http://127.0.0.1:{ready['port']}"
        self.events_address = f"127.0.0.1:{ready['events_port']}"
        return self

    def kill(self) -> int:
        """SIGKILL: no goodbye."""
        return self._end(lambda child: child.kill())

    def stop(self) -> int:
        """SIGTERM: a graceful stop; the exit code."""
        return self._end(lambda child: child.terminate())

    def _end(self, how: Any) -> int:
        child = self._child
        if child is None:
            return 0
        how(child)
        code = child.wait(STOP_S_MAX)
        if child.stdout is not None:
            child.stdout.close()
        self._child = None
        return code

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._end(lambda child: child.kill())

    def admin(self, vendor: str, account: str, what: str) -> str:
        """The address of an operator's resource."""
        return f"{self.url}/_sandbox/{vendor}/{account}/{what}"

    def empty(self, vendor: str, account: str) -> None:
        """Start an account anew without the shipped records."""
        self.client.post(self.admin(vendor, account, "reset"), json={"seed": False}).raise_for_status()

    def options(self, vendor: str, account: str, **wanted: object) -> None:
        """Set options of an account."""
        self.client.put(self.admin(vendor, account, "options"), json=wanted).raise_for_status()

    def faults(self, vendor: str, account: str, *faults: dict[str, object]) -> None:
        """Arm faults."""
        self.client.put(self.admin(vendor, account, "faults"), json={"faults": faults}).raise_for_status()

    def arrivals(self, vendor: str, account: str) -> list[dict[str, Any]]:
        """The arrival log of an account."""
        lines: list[dict[str, Any]] = self.client.get(self.admin(vendor, account, "arrivals")).json()[
            "arrivals"
        ]
        return lines

    def token(self, vendor: str, account: str) -> dict[str, Any]:
        """What the vendor answers to a refresh token."""
        path = TOKEN_PATHS[vendor]
        form = {"grant_type": "refresh_token", "client_id": "headwater", "client_secret": "sandbox-secret"}
        if vendor == "dynamics":
            form = {**form, "grant_type": "client_credentials", "scope": f"{self.url}/.default"}
        named: dict[str, Any] = {"auth": ("headwater", "sandbox-secret")} if vendor == "pipedrive" else {}
        url = f"{self.url}/{vendor}/{account}/{path}"
        answer = self.client.post(url, data={**form, "refresh_token": f"sandbox-refresh-{account}"}, **named)
        told: dict[str, Any] = answer.raise_for_status().json()
        return told

    def session(self, vendor: str, account: str) -> httpx.Client:
        """A client with the account's address and token in it."""
        headers = {"Authorization": f"Bearer {self.token(vendor, account)['access_token']}"}
        return httpx.Client(base_url=f"{self.url}/{vendor}/{account}", headers=headers, timeout=CALL_S_MAX)
