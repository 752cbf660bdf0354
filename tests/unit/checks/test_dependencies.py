"""What a process imports is asked for by its part of pyproject.toml, and the check would notice if not."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import grimp
import pytest
from tests.checks.dependencies import BASE_MAX, ROOT, faults, unexplained


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Who imports whom."""
    return grimp.build_graph("headwater", include_external_packages=True, exclude_type_checking_imports=True)


@pytest.fixture
def text() -> str:
    """The text of pyproject.toml."""
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.fixture
def project(text: str) -> dict[str, Any]:
    """The project's table, to be changed at will."""
    return copy.deepcopy(tomllib.loads(text)["project"])


def test_the_project_has_no_faults(project: dict[str, Any], text: str, graph: grimp.ImportGraph) -> None:
    """Every process finds what it imports, and every dependency says why it is there."""
    assert list(faults(project, graph)) == []
    assert list(unexplained(text)) == []


@pytest.mark.parametrize(
    ("extra", "package", "process"),
    [
        ("ingest", "starlette", "ingest"),
        ("identity", "jellyfish", "identity"),
        ("sync", "httpcore", "connectors"),
    ],
)
def test_what_an_extra_leaves_out_is_named(
    extra: str, package: str, process: str, project: dict[str, Any], graph: grimp.ImportGraph
) -> None:
    """A package that a process imports and nothing of its part asks for."""
    project["optional-dependencies"][extra] = [
        one for one in project["optional-dependencies"][extra] if not one.startswith(package)
    ]
    assert any(fault.startswith(f"{process} imports {package}") for fault in faults(project, graph))


def test_a_base_that_grows_is_named(project: dict[str, Any], graph: grimp.ImportGraph) -> None:
    """One package more than allowed."""
    project["dependencies"] += [
        f"package-{number}" for number in range(BASE_MAX - len(project["dependencies"]))
    ]
    assert [fault for fault in faults(project, graph) if fault.startswith("the base asks for")]


def test_a_dependency_without_a_reason_is_named(text: str) -> None:
    """A line without a comment."""
    line = next(line for line in text.splitlines() if '"msgspec' in line)
    assert list(unexplained(text.replace(line, line.partition("#")[0])))
