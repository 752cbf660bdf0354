"""What `make lock-check` sees in a lock."""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import Requirement
from tests.checks.lock import faults, read_pins

PYYAML = metadata.version("pyyaml")


def test_a_lock_that_answers_the_requirements_has_no_fault() -> None:
    """Pinned, satisfied, installed, and nothing more."""
    assert list(faults([Requirement("PyYAML>=6")], {"pyyaml": PYYAML})) == []


def test_a_requirement_without_pin_is_a_fault() -> None:
    """A dependency was added and the lock was not compiled."""
    found = list(faults([Requirement("pyyaml"), Requirement("flask")], {"pyyaml": PYYAML}))
    assert found == ["pyproject.toml asks for flask, which is not pinned"]


def test_a_pin_that_is_too_old_is_a_fault() -> None:
    """A bound was raised and the lock was not compiled."""
    found = list(faults([Requirement("pyyaml>=99")], {"pyyaml": PYYAML}))
    assert found[0] == f"pyproject.toml asks for pyyaml>=99, but {PYYAML} is pinned"


def test_a_pin_that_nothing_asks_for_is_a_fault() -> None:
    """A dependency was removed and the lock was not compiled."""
    found = list(faults([Requirement("pyyaml")], {"pyyaml": PYYAML, "flask": "3.0"}))
    assert found == ["flask is pinned, but nothing asks for it"]


def test_an_installed_version_other_than_the_pinned_one_is_a_fault() -> None:
    """The environment was changed by hand, or is older than the lock."""
    found = list(faults([Requirement("pyyaml")], {"pyyaml": "0.1"}))
    assert found[0] == f"pyyaml 0.1 is pinned, but {PYYAML} is installed"


def test_a_requirement_of_a_requirement_is_followed() -> None:
    """The whole closure must be pinned, not only what pyproject.toml names."""
    found = list(faults([Requirement("httpx")], {"httpx": metadata.version("httpx")}))
    assert "httpx asks for httpcore, which is not pinned" in found


def test_pins_for_other_platforms_are_left_out() -> None:
    """The lock is universal; only this platform's part can be judged here."""
    lock = "here==1.0 \\\n    --hash=sha256:00\nelsewhere==2.0 ; sys_platform == 'never' \\\n    --hash=sha256:00\n"
    assert read_pins(lock) == {"here": "1.0"}
