"""Looks for secrets in the files of the repository: `python tests/checks/secrets.py`.

What a test makes up for itself stands in `.secrets.baseline`, by file and hash; anything else is a fault. `--accept`
writes the baseline anew: look at each line of its difference before it is committed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

ROOT: Final = Path(__file__).resolve().parents[2]
BASELINE: Final = ROOT / ".secrets.baseline"
SETTINGS: Final = {
    "plugins_used": [
        {"name": f"{name}Detector"}
        for name in (
            "AWSKey", "BasicAuth", "GitHubToken", "GitLabToken", "JwtToken", "Keyword", "PrivateKey", "PypiToken",
            "SendGrid", "Slack", "Stripe",
        )
    ]
}  # fmt: skip
"""Texts of a known form, and what is called a password. Not those of high entropy: an event log is full of hashes."""
PARTS: Final = 16


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that looks like a secret: where, what kind, and its hash."""

    file: str
    line: int
    kind: str
    digest: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What the baseline knows it by: lines move."""
        return self.file, self.kind, self.digest


def look(files: Iterable[str], root: Path = ROOT) -> list[Finding]:
    """Return what looks like a secret in files below *root*."""
    with transient_settings(SETTINGS):
        return sorted(
            Finding(file, secret.line_number, secret.type, secret.secret_hash)
            for file in files
            for secret in scan_file(str(root / file))
        )


def tracked() -> list[str]:
    """Return the repository's files, new ones included, without generated code and locks."""
    listed = subprocess.run(
        ("git", "ls-files", "--cached", "--others", "--exclude-standard"),  # noqa: S607 - of whoever develops
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = listed.stdout.splitlines()
    skipped = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", ".lock", ".binpb", "package-lock.json", BASELINE.name)
    return [one for one in found if not one.endswith(skipped) and (ROOT / one).is_file()]


def accepted(text: str) -> set[tuple[str, str, str]]:
    """Return the keys of a baseline."""
    return {(one["file"], one["kind"], one["digest"]) for one in json.loads(text)}


def _parts(files: list[str]) -> Iterator[list[str]]:
    yield from (files[start::PARTS] for start in range(PARTS))


def main(arguments: list[str]) -> int:
    """Check the repository; return the exit code."""
    with ProcessPoolExecutor() as pool:
        found = sorted(one for part in pool.map(look, _parts(tracked())) for one in part)
    if "--accept" in arguments:
        rows: list[dict[str, Any]] = [
            {"file": file, "kind": kind, "digest": digest}
            for file, kind, digest in sorted({one.key for one in found})
        ]
        BASELINE.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    known = accepted(BASELINE.read_text(encoding="utf-8"))
    new = [one for one in found if one.key not in known]
    gone = known - {one.key for one in found}
    sys.stdout.write("".join(f"{one.file}:{one.line}: {one.kind}\n" for one in new))
    sys.stdout.write("".join(f"{file}: a {kind} of the baseline is gone\n" for file, kind, _ in sorted(gone)))
    sys.stdout.write(f"{len(found)} found, {len(new)} of them new, {len(gone)} gone\n")
    return 1 if new or gone else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
