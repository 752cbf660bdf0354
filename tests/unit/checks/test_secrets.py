"""A secret that somebody commits is found, by file and line; what is accepted is known by its hash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.checks.secrets import accepted, look

PLANTED = {
    "aws": "key = 'AKIA" + "IOSFODNN7EXAMPLD'",
    "private": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "basic": "url = 'https://ana:" + "Qx7-vT92-pPl@crm.example/api'",
    "github": "token = 'ghp_" + "aBcD1234eFgH5678iJkL9012mNoP3456qRsT'",
    "keyword": "password = " + "'pQ8-zz1-Lk0-77x'",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found(kind: str, tmp_path: Path) -> None:
    """One of each kind, in a file of Python, at its line."""
    (tmp_path / "settings.py").write_text(f"first = 1\n{PLANTED[kind]}\n", encoding="utf-8")
    assert [(one.file, one.line) for one in look(["settings.py"], tmp_path)][:1] == [("settings.py", 2)]


def test_a_reference_to_a_secret_is_none(tmp_path: Path) -> None:
    """What the configuration names, and the environment or the vault holds."""
    (tmp_path / "policy.yaml").write_text("token: env:CRM_TOKEN\npassword: ${PASSWORD}\n", encoding="utf-8")
    assert look(["policy.yaml"], tmp_path) == []


def test_the_baseline_knows_a_finding_wherever_its_line_has_moved(tmp_path: Path) -> None:
    """Two lines further down it is the same."""
    (tmp_path / "settings.py").write_text(f"{PLANTED['keyword']}\n", encoding="utf-8")
    before = look(["settings.py"], tmp_path)
    (tmp_path / "settings.py").write_text(f"\n\n{PLANTED['keyword']}\n", encoding="utf-8")
    (after,) = look(["settings.py"], tmp_path)
    rows = [{"file": one.file, "kind": one.kind, "digest": one.digest} for one in before]
    assert after.key in accepted(json.dumps(rows))
