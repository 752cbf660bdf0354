"""A pytest plugin: which operation of which connector was proven against what, from the tests that passed.

A conformance test says its operation by `proves` and its subject says what stood at the other end; any other test may
carry `@pytest.mark.evidence("hubspot", "upsert", "recorded")`. At the end of a run that was not narrowed to single
tests the committed `evidence.json` beside each connector is compared with what ran, and the run fails where they differ;
`--evidence write` writes it.

Load it in the topmost conftest: pytest_plugins = ["headwater.connectors.base.testing.evidence"]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from headwater.connectors.base import Vendor, load_vendor
from headwater.connectors.base.evidence import LEVELS, evidence_file, read_proofs
from headwater.connectors.base.testing.suite import OPERATION
from headwater.kernel.errors import InvalidInput

_PROPERTY: Final = "headwater_evidence"

Proof = tuple[Path, str, str]
"""Evidence file, operation and level."""


@dataclass(slots=True)
class Ledger:
    """What a run has proven.

    Args:
        proofs: of each test (without its parameters) what it would prove.
        failed: tests of which any part did not pass.
    """

    proofs: dict[str, set[Proof]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def of_file(self, file: Path) -> dict[str, dict[str, list[str]]]:
        """Return what was proven for one evidence file."""
        told: dict[str, dict[str, list[str]]] = {}
        for test in sorted(self.passed - self.failed):
            for place, operation, level in self.proofs.get(test, ()):
                if place == file:
                    told.setdefault(operation, {}).setdefault(level, []).append(test)
        return told


LEDGER: Final = pytest.StashKey[Ledger]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to write the evidence, or to leave it alone."""
    parser.addoption("--evidence", choices=("check", "write", "off"), default="check", help="evidence.json")


def pytest_configure(config: pytest.Config) -> None:
    """Begin a ledger."""
    config.addinivalue_line(
        "markers", "evidence(connector, operation, level): what a test proves if it passes"
    )
    ledger = config.stash[LEDGER] = Ledger()
    config.pluginmanager.register(_Listener(ledger), "headwater-evidence-listener")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write on every test what it would prove; reports carry it, also those of other processes."""
    for item in items:
        proofs = [[str(file), operation, level] for file, operation, level in _proofs_of(item)]
        if proofs:
            item.user_properties.append((_PROPERTY, proofs))


@dataclass(slots=True, eq=False)  # a plugin is told from others by identity
class _Listener:
    """Hears how tests ended, in this process or in those that it has run them."""

    ledger: Ledger

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how every part of a test ended."""
        proofs: Any = dict(report.user_properties).get(_PROPERTY)
        if not proofs:
            return
        test = _test_of(report.nodeid)
        told = {(Path(file), operation, level) for file, operation, level in proofs}
        self.ledger.proofs.setdefault(test, set()).update(told)
        if not report.passed:
            self.ledger.failed.add(test)
        elif report.when == "call":
            self.ledger.passed.add(test)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Compare with what is committed, or write it."""
    config = session.config
    wanted = config.getoption("evidence")
    ledger = config.stash[LEDGER]
    part = wanted == "off" or hasattr(config, "workerinput") or _is_narrowed(config)
    if exitstatus != pytest.ExitCode.OK or part:
        return
    for file in sorted({proof[0] for proofs in ledger.proofs.values() for proof in proofs}):
        ran = _merged(file, ledger, config.rootpath)
        if wanted == "write":
            file.write_bytes(msgspec.json.format(msgspec.json.encode(ran), indent=2) + b"\n")
        elif ran != {op: {lv: list(t) for lv, t in by.items()} for op, by in read_proofs(file).items()}:
            ledger.faults.append(f"{file} differs from what ran; run the tests with --evidence write")
    if ledger.faults:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what differs."""
    for fault in config.stash[LEDGER].faults:
        terminalreporter.write_line(f"evidence: {fault}", red=True)


def _is_narrowed(config: pytest.Config) -> bool:
    """Tell whether a run was of single tests: then it says nothing about the whole of a module."""
    option = config.option
    chosen = any("::" in str(argument) for argument in config.invocation_params.args)
    return chosen or bool(
        option.keyword or option.markexpr or option.collectonly or getattr(option, "lf", False)
    )


def _merged(file: Path, ledger: Ledger, root: Path) -> dict[str, dict[str, list[str]]]:
    """Return the proofs as they stand now: of modules that ran wholly what ran, of others that exist what was."""
    told = {_module_of(test) for test in ledger.proofs}
    kept: dict[str, dict[str, set[str]]] = {}
    for operation, by_level in read_proofs(file).items():
        for level, tests in by_level.items():
            stay = {
                test for test in tests if _module_of(test) not in told and (root / _module_of(test)).exists()
            }
            kept.setdefault(operation, {}).setdefault(level, set()).update(stay)
    for operation, ran in ledger.of_file(file).items():
        for level, passed in ran.items():
            fresh = {test for test in passed if _module_of(test) in told}
            kept.setdefault(operation, {}).setdefault(level, set()).update(fresh)
    return {
        operation: {level: sorted(held[level]) for level in LEVELS if held.get(level)}
        for operation, held in sorted(kept.items())
        if any(held.values())
    }


def _proofs_of(item: pytest.Item) -> Iterator[Proof]:
    for mark in item.iter_markers("evidence"):
        connector, operation, level = mark.args
        try:
            vendor = load_vendor(connector)
        except InvalidInput as error:
            raise pytest.UsageError(f"{item.nodeid}: {error.message}; install the package anew") from error
        yield _checked(vendor, operation, level)
    function = getattr(item, "function", None)
    subject = getattr(getattr(item, "cls", None), "subject", None)
    operation = getattr(function, OPERATION, "")
    if operation and subject is not None:
        yield _checked(subject.vendor, operation, subject.evidence)


def _checked(vendor: Vendor, operation: str, level: str) -> Proof:
    if level not in LEVELS:
        raise pytest.UsageError(f"evidence of {vendor.name}: {level!r} is none of {', '.join(LEVELS)}")
    return evidence_file(vendor).resolve(), operation, level


def _test_of(nodeid: str) -> str:
    return nodeid.partition("[")[0]


def _module_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]
