"""The commands of the repository: make's targets and what CI runs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "Makefile").is_file())
TARGETS = re.compile(r"^([a-z-]+):", re.MULTILINE)


def _make(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=15
    )


def _old_python(folder: Path) -> Path:
    path = folder / "python3.9"
    path.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.6"\nexit 1\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def test_make_alone_lists_every_target() -> None:
    """Whoever types `make` sees all there is, each with a sentence."""
    run = _make()
    listed = re.findall(r"^  ([a-z-]+) +\S", run.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(TARGETS.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    assert run.returncode == 0


@pytest.mark.parametrize("python", ["no-such-python", "old"])
def test_setup_says_what_is_wrong_with_the_python(python: str, tmp_path: Path) -> None:
    """An absent or too old Python ends in one sentence that names the way out."""
    name = str(_old_python(tmp_path)) if python == "old" else python
    run = _make("setup", "--always-make", f"PYTHON={name}")
    assert run.returncode != 0
    assert re.search(r"Headwater needs Python 3\.11 or later; name one with: make setup PYTHON=", run.stderr)


def test_ci_runs_the_targets_that_developers_run() -> None:
    """CI has no steps of its own: `make verify`, then `make test`."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^timed (.+)$", script, re.MULTILINE) == ["make verify", "make test"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_no_file_of_the_house_names_a_registry() -> None:
    """Where packages come from is the machine's configuration, not the repository's."""
    names = (
        "Makefile",
        ".ci/run",
        "pyproject.toml",
        "requirements.lock",
        "deploy/Dockerfile",
        "deploy/compose.yaml",
    )
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)
    assert (
        re.findall(r"(?:index-url [^\n]*http|find-links|pypi\.|docker\.io|ghcr\.io|pythonhosted)", text) == []
    )
