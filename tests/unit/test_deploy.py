"""What can be known of the deployment files without a container engine or a Collector."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.lock_subset import reached, read_blocks, runtime_roots
from packaging.requirements import Requirement
from tests.checks.lock import faults, read_pins

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").is_file())
DEPLOY = ROOT / "deploy"
SERVICES = ("identity", "ingest", "sync")
IMAGE_EXTRAS = re.findall(r"\+(\w+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
"""Extras that the image is built with."""
KINDS = ("receivers", "processors", "exporters")


def _read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.fixture
def compose() -> dict[str, Any]:
    """The services of compose.yaml, merge keys resolved."""
    services: dict[str, Any] = _read("compose.yaml")["services"]
    return services


@pytest.fixture
def collector() -> dict[str, Any]:
    """The Collector's configuration."""
    configuration: dict[str, Any] = _read("otel-collector.yaml")
    return configuration


def test_every_service_has_a_container_of_its_own(compose: dict[str, Any]) -> None:
    """Ingest, identity, sync and the migration job run Headwater's modules; nothing else does."""
    modules = {name: entry["command"][0] for name, entry in compose.items() if name in {*SERVICES, "migrate"}}
    assert modules == {**{name: f"headwater.{name}" for name in SERVICES}, "migrate": "headwater.cli"}


@pytest.mark.parametrize("name", [*SERVICES, "migrate"])
def test_the_module_that_a_container_runs_exists(name: str, compose: dict[str, Any]) -> None:
    """The image's entry point is `python -m`, so the command must name a package with a `__main__`."""
    assert importlib.util.find_spec(f"{compose[name]['command'][0]}.__main__") is not None


def test_every_container_but_the_holder_joins_one_network_namespace(compose: dict[str, Any]) -> None:
    """Services refuse to listen beyond loopback, so they can only meet on a shared one."""
    modes = {name: entry.get("network_mode") for name, entry in compose.items()}
    assert modes == {name: None if name == "pod" else "service:pod" for name in compose}


def test_every_address_is_loopback(compose: dict[str, Any]) -> None:
    """An address elsewhere would be refused at start with INSECURE_BIND."""
    addresses = [
        (name, key, value)
        for name in SERVICES
        for key, value in compose[name]["environment"].items()
        if key.endswith("_ADDRESS")
    ]
    assert len(addresses) == len(SERVICES) * 5
    assert [entry for entry in addresses if not entry[2].startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_health_is_asked_where_the_service_listens(name: str, compose: dict[str, Any]) -> None:
    """The health check of a container asks its own service, not a neighbour in the namespace."""
    environment = compose[name]["environment"]
    assert environment["HEADWATER_HEALTH_ADDRESS"] == environment[f"HEADWATER_{name.upper()}_ADDRESS"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_the_migrations(name: str, compose: dict[str, Any]) -> None:
    """A service refuses a schema that is behind, so the job must have succeeded first."""
    assert compose[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_secrets_come_from_the_environment(compose: dict[str, Any]) -> None:
    """No password, credential or URL with either has a value in the file."""
    secret = re.compile(r"PASSWORD|SECRET|DATABASE_URL")
    values = [
        value
        for entry in compose.values()
        for key, value in entry.get("environment", {}).items()
        if secret.search(key)
    ]
    assert values
    assert [value for value in values if not re.fullmatch(r"\$\{[A-Z_]+:[-?][^}]*\}", value)] == []
    assert not [value for value in values if re.search(r":-.+\}", value)]


@pytest.mark.parametrize("kind", KINDS)
def test_pipelines_use_exactly_the_components_defined(kind: str, collector: dict[str, Any]) -> None:
    """A name that is not defined stops the Collector; one that is not used was forgotten."""
    pipelines = collector["service"]["pipelines"].values()
    assert {member for pipeline in pipelines for member in pipeline[kind]} == set(collector[kind])


def test_each_pipeline_limits_memory_first_and_batches_last(collector: dict[str, Any]) -> None:
    """Refuse before anything allocates; batch what is really sent."""
    orders = [pipeline["processors"] for pipeline in collector["service"]["pipelines"].values()]
    assert orders
    assert [(order[0], order[-1]) for order in orders] == [("memory_limiter", "batch")] * len(orders)


def test_the_collector_limits_itself_below_its_container(
    collector: dict[str, Any], compose: dict[str, Any]
) -> None:
    """The limiter must act before the kernel kills the process."""
    container_mib = int(compose["otel-collector"]["mem_limit"].removesuffix("m"))
    assert collector["processors"]["memory_limiter"]["limit_mib"] < container_mib


def test_the_collector_listens_on_loopback(collector: dict[str, Any]) -> None:
    """Spans carry record ids; their receiver is not open to the network."""
    endpoints = [
        entry["endpoint"]
        for receiver in collector["receivers"].values()
        for entry in receiver["protocols"].values()
    ]
    assert [endpoint.partition(":")[0] for endpoint in endpoints] == ["127.0.0.1"] * len(endpoints)


def test_the_image_installs_by_hash_and_runs_unprivileged() -> None:
    """Every installation from an index checks hashes; the last user is not root."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"pip install (.+)", text)
    assert installs
    assert [
        line for line in installs if "--require-hashes" not in line and "--no-deps dist/" not in line
    ] == []
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1:] == ["10001"]


def test_every_file_that_the_image_copies_is_there_and_not_ignored() -> None:
    """COPY of a path that .dockerignore leaves out fails the build."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    sources = {source for copy in copies for source in copy.split()}
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert sources == set(allowed)
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_runtime_part_of_the_lock_is_complete() -> None:
    """Everything that the runtime asks for, however indirectly, is in it, with hashes."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    blocks = read_blocks((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    subset = {name: blocks[name] for name in reached(blocks, runtime_roots(pyproject, IMAGE_EXTRAS))}
    project = tomllib.loads(pyproject)["project"]
    asked = [
        *project["dependencies"],
        *(one for name in IMAGE_EXTRAS for one in project["optional-dependencies"][name]),
    ]
    requirements = [Requirement(text) for text in asked]
    found = faults(requirements, read_pins("".join(subset.values())))
    # What only other platforms' markers ask for may come along; nothing may be missing.
    assert [fault for fault in found if not fault.endswith("nothing asks for it")] == []
    assert [name for name, block in subset.items() if "--hash=sha256:" not in block] == []


def test_the_image_holds_what_its_processes_import() -> None:
    """Every service that a container runs, and the command line that migrates."""
    assert {*SERVICES, "cli"} <= set(IMAGE_EXTRAS)


def test_the_runtime_part_of_the_lock_has_no_development_tools() -> None:
    """An image without test runner, linters, type checker and build backend."""
    blocks = read_blocks((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    runtime = reached(blocks, runtime_roots(pyproject, IMAGE_EXTRAS))
    tools = {"pytest", "hypothesis", "ruff", "mypy", "sqlfluff", "buf-bin", "import-linter", "hatchling"}
    assert tools < set(blocks)
    assert tools & runtime == set()
