"""Checks that what each process can import is what its part of pyproject.toml asks for.

A process is followed from its entry module through every import, those inside functions too; what it reaches outside
of Headwater must be a base dependency or stand in one of its extras. The base holds fewer than `BASE_MAX` of them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import grimp
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
BASE_MAX: Final = 25
"""Direct dependencies of a service, each with its reason. Source: requirement G, supply chain."""
BROUGHT: Final = {
    "opentelemetry-api": "opentelemetry-sdk",
    "pydantic-core": "pydantic",
    "h11": "uvicorn",
    "opentelemetry-semantic-conventions": "opentelemetry-sdk",
}
"""Imported, and brought at its own version by what is asked for."""


@dataclass(frozen=True, slots=True)
class Process:
    """A part that is deployed by itself.

    Args:
        roots: modules where it begins; of a package, all its modules.
        extras: beside the base.
    """

    roots: tuple[str, ...]
    extras: tuple[str, ...]


PROCESSES: Final = {
    "ingest": Process(("headwater.ingest.__main__",), ("ingest",)),
    "identity": Process(("headwater.identity.__main__",), ("identity",)),
    "sync": Process(("headwater.sync.__main__",), ("sync",)),
    "connectors": Process((), ("sync",)),
    "client": Process(("headwater.client",), ()),
}
"""The roots of the connectors are the package's entry points."""


def reached(graph: grimp.ImportGraph, roots: tuple[str, ...]) -> set[str]:
    """Return every module that the roots import, however far away, packages on the way included."""
    queue = [module for root in roots for module in (root, *graph.find_descendants(root))]
    found: set[str] = set()
    while queue:
        module = queue.pop()
        if module in found or module not in graph.modules:
            continue
        found.add(module)
        queue += graph.find_modules_directly_imported_by(module)
        if "." in module:
            queue.append(module.rpartition(".")[0])
    return found


def distributions(modules: set[str]) -> Iterator[tuple[str, str]]:
    """Yield each package outside of Headwater with a distribution that brings it."""
    brought = metadata.packages_distributions()
    for module in sorted(modules):
        top = module.split(".")[0]
        if top != "headwater" and top not in sys.stdlib_module_names:
            for name in brought.get(top, [top]):
                yield module, canonicalize_name(name)


def asked_for(project: Mapping[str, Any], extras: tuple[str, ...]) -> set[str]:
    """Return the names of the base and of *extras*."""
    texts = [
        *project["dependencies"],
        *(text for name in extras for text in project["optional-dependencies"][name]),
    ]
    return {canonicalize_name(Requirement(text).name) for text in texts}


def faults(project: Mapping[str, Any], graph: grimp.ImportGraph) -> Iterator[str]:
    """Yield what a process imports and its part does not ask for; and a base that has grown too large."""
    base = project["dependencies"]
    if len(base) >= BASE_MAX:
        yield f"the base asks for {len(base)} packages; fewer than {BASE_MAX} are allowed"
    for name, process in PROCESSES.items():
        allowed = asked_for(project, process.extras)
        roots = process.roots or tuple(_entry_points(project))
        for module, others in _by_module(reached(graph, roots)).items():
            if not any(BROUGHT.get(one, one) in allowed for one in others):
                yield f"{name} imports {module}, and neither the base nor {list(process.extras)} asks for it"


def unexplained(text: str) -> Iterator[str]:
    """Yield the dependencies that stand without a reason."""
    table = text[text.index("\ndependencies = [") : text.index("\n[project.scripts]")]
    for line in table.splitlines():
        if re.match(r'\s+"', line) and "#" not in line:
            yield f"no reason is given for {line.strip()}"


def _entry_points(project: Mapping[str, Any]) -> Iterator[str]:
    for group in project["entry-points"].values():
        yield from (target.partition(":")[0] for target in group.values())


def _by_module(modules: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for module, name in distributions(modules):
        found.setdefault(module, []).append(name)
    return found


def main() -> int:
    """Check the repository; return the exit code."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    graph = grimp.build_graph("headwater", include_external_packages=True, exclude_type_checking_imports=True)
    project = tomllib.loads(text)["project"]
    found = [*faults(project, graph), *unexplained(text)]
    sys.stdout.write("".join(f"{fault}\n" for fault in found))
    count = len(project["dependencies"])
    sys.stdout.write(f"{count} base dependencies, {len(PROCESSES)} processes, {len(found)} faults\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
