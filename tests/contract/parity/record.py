"""Record what the vendors' own clients send: `make parity` runs it and compares with what is committed.

    python -m tests.contract.parity.record PEERS [--write]

PEERS holds the installed clients: `pipedrive/` (Node) and `dynamics/bin/python`; HubSpot's and Salesforce's are among our
own tools. Exit code 1 where a client of today
sends something else than the recorded one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.contract.parity.capture import Canonical, capturing

HERE: Final = Path(__file__).resolve().parent
RECORDED: Final = HERE / "recorded"
RUN_S: Final = 120.0
_TABLE: Final = {
    "MetadataId": "33333333-3333-4333-8333-333333333333",
    "LogicalName": "contact",
    "SchemaName": "Contact",
    "EntitySetName": "contacts",
    "PrimaryIdAttribute": "contactid",
    "PrimaryNameAttribute": "fullname",
}
ANSWERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "pipedrive": {
        "/oauth/token": {"access_token": "t", "refresh_token": "r-2", "expires_in": 3600},
        "": {"success": True, "data": []},
    },
    "hubspot": {"": {"status": "COMPLETE", "results": []}},
    "salesforce": {"": {"records": [], "done": True, "totalSize": 0}},
    "dynamics": {r"/EntityDefinitions\?": {"value": [_TABLE]}, "": {"value": []}},
}


def commands(peers: Path) -> Mapping[str, Sequence[str]]:
    """Return how each client is driven."""
    return {
        "pipedrive": ("node", str(peers / "pipedrive" / "drive.mjs")),
        "hubspot": (sys.executable, str(HERE / "drivers" / "hubspot" / "drive.py")),
        "salesforce": (sys.executable, str(HERE / "drivers" / "salesforce" / "drive.py")),
        "dynamics": (
            str(peers / "dynamics" / "bin" / "python"),
            str(HERE / "drivers" / "dynamics" / "drive.py"),
        ),
    }


def recorded_by(vendor: str, command: Sequence[str]) -> dict[str, Canonical]:
    """Return the last request of every operation that *command* drives, by its name."""
    requests: dict[str, Canonical] = {}
    with capturing(ANSWERS[vendor]) as capture:
        pipe = subprocess.PIPE
        child = subprocess.Popen([*command, capture.url], stdin=pipe, stdout=pipe, text=True)
        assert child.stdout is not None
        assert child.stdin is not None
        for line in child.stdout:
            requests[line.strip()] = capture.seen[-1]
            child.stdin.write("\n")
            child.stdin.flush()
        if child.wait(RUN_S) != 0:
            raise SystemExit(f"the client of {vendor} ended with {child.returncode}")
    return requests


def text_of(requests: Mapping[str, Canonical]) -> str:
    """Return the file of *requests*."""
    return json.dumps(requests, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Run every client and compare, or write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peers", type=Path)
    parser.add_argument("--write", action="store_true", help="keep what the clients send")
    options = parser.parse_args()
    changed = 0
    for vendor, command in commands(options.peers.resolve()).items():
        text, file = text_of(recorded_by(vendor, command)), RECORDED / f"{vendor}.json"
        if options.write:
            file.write_text(text, encoding="utf-8")
        same = file.read_text(encoding="utf-8") == text
        changed += not same
        sys.stdout.write(f"{vendor} {len(json.loads(text))} operations {'PASS' if same else 'FAIL'}\n")
    return 1 if changed else 0


if __name__ == "__main__":
    raise SystemExit(main())
