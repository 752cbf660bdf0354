"""Every alert and every class of error has a page with all its parts, and no page names a command that is not there."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import pytest
from tests.integration.alerting.tools import SAMPLE_POLICY
from typer.main import get_command

from headwater.alerting.rendering import groups_of
from headwater.cli import failures
from headwater.cli.app import COMMANDS
from headwater.cli.policy_files import read_policy
from headwater.connectors.base import ErrorClass
from headwater.kernel import errors
from headwater.kernel.metrics import names
from headwater.runbooks import PARTS, codes, find_runbook

ALERTS = {alert.name for group in groups_of(read_policy(SAMPLE_POLICY).document) for alert in group.alerts}
ROOTS: tuple[type[errors.HeadwaterError], ...] = (
    errors.HeadwaterError,
    *errors.HeadwaterError.__subclasses__(),
)
COMMAND = re.compile(r"`headwater ([^`]+)`")
VARIABLE = re.compile(r"\bHEADWATER_[A-Z_]+\b")


def test_every_alert_has_a_page() -> None:
    """Whoever is woken finds what to do under the alert's own name."""
    assert set(codes()) >= ALERTS


def test_every_class_of_error_has_a_page() -> None:
    """What the CRMs answer, and what we answer, is explained class by class."""
    ours = {kind.default_reason for kind in ROOTS if kind.__module__ == errors.__name__}
    assert set(codes()) >= {one.value for one in ErrorClass} | ours


def test_no_page_is_about_nothing() -> None:
    """A page that names an alert is about one that exists: renaming an alert takes its page along."""
    assert {code for code in codes() if code.startswith("Headwater")} == ALERTS


@pytest.mark.parametrize("code", codes())
def test_a_page_has_all_its_parts(code: str) -> None:
    """Cause, check, fix, whom to call and what it means for the business: nothing is left out, nothing is empty."""
    page = find_runbook(code)
    assert page is not None
    assert page.summary
    assert tuple(page.parts) == PARTS
    assert all(page.parts.values())


def _leads_to_a_command(words: list[str]) -> bool:
    name, *rest = words
    if name not in {command for command, _, _ in COMMANDS}:
        return False
    command: Any = get_command(import_module(f"headwater.cli.commands.{name}").app)
    if hasattr(command, "commands"):
        return bool(rest) and rest[0] in command.commands
    return True


@pytest.mark.parametrize("code", codes())
def test_every_command_of_a_page_exists(code: str) -> None:
    """Nobody types what a page says at night and is told that there is no such command; other pages exist, too."""
    page = find_runbook(code)
    assert page is not None
    for named in COMMAND.findall(page.text):
        words = named.split()
        assert _leads_to_a_command(words), named
        if words[0] == "runbook":
            assert words[1] in codes(), named


def test_the_check_of_commands_finds_a_wrong_one() -> None:
    """The check above can fail: a made-up command and a made-up part of a real one are both found."""
    assert not _leads_to_a_command(["frobnicate"])
    assert not _leads_to_a_command(["connectors", "frobnicate"])


def test_an_error_names_the_page_of_its_class() -> None:
    """A leaf of some service, whose reason has no page, leads to the page of the error it is one of."""

    class Leaf(errors.Unavailable):
        default_reason = "SOMETHING_RARE"

    assert Leaf("gone").runbook == "headwater runbook UNAVAILABLE"
    assert failures.as_json(Leaf("gone"))["error"]["runbook"] == "headwater runbook UNAVAILABLE"


def test_an_error_whose_reason_has_a_page_names_it() -> None:
    """The narrower page is shown where there is one."""
    assert failures.runbook(errors.Unavailable("gone", reason="LOG_SLOW")) == "headwater runbook LOG_SLOW"


def test_the_metrics_know_the_connectors_classes_of_errors() -> None:
    """The kernel cannot import the connectors: its list of classes is compared with theirs here."""
    assert set(names.ERROR_CLASSES) == {one.value for one in ErrorClass}
