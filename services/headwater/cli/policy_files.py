"""A policy on the disk: one YAML file, or a folder of them. Reads and writes files; decides nothing."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Final

from headwater.kernel.errors import InvalidInput
from headwater.policy.document import PolicyDocument
from headwater.policy.faults import Fault
from headwater.policy.loading import FILES_MAX, PolicyText, load_parts

SUFFIXES: Final = (".yaml", ".yml")


def read_policy(path: Path) -> PolicyText:
    """Return the policy of a file, or of all YAML files of a folder together.

    Raises:
        PolicyRefused: it could not be applied.
        InvalidInput: a file is no text.
    """
    return load_parts(_texts(path))


def fault_lines(path: Path, faults: tuple[Fault, ...]) -> list[str]:
    """Return a fault a line, as editors and compilers write them: `file:line:column: path: what [rule]; fix`."""
    return [
        f"{_place(path, item)}:{item.line}:{item.column}: {item.path or 'the document'}: "
        f"{item.message} [{item.rule}]\n    fix: {item.fix}"
        for item in faults
    ]


def starter_text() -> str:
    """Return the policy to begin with: HubSpot, Salesforce, Gmail, forms, an enrichment provider; Pipedrive and Dynamics commented out."""
    return resources.files("headwater.samples").joinpath("starter.yaml").read_text(encoding="utf-8")


def routing_text() -> str:
    """Return a part of a policy about routing and SLAs, which fits the one to begin with."""
    return resources.files("headwater.samples").joinpath("routing.yaml").read_text(encoding="utf-8")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document: its shape; what must agree across parts is only in `check`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **PolicyDocument.model_json_schema(by_alias=True),
        "title": "Headwater policy",
    }


def _place(path: Path, fault: Fault) -> str:
    return str(path / fault.file) if path.is_dir() and fault.file else str(path)


def _texts(path: Path) -> dict[str, str]:
    if not path.is_dir():
        return {path.name: _text(path)}
    found = sorted(item for item in path.rglob("*") if item.suffix in SUFFIXES and item.is_file())
    return {str(item.relative_to(path)): _text(item) for item in found[: FILES_MAX + 1]}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no UTF-8 text: byte {error.start} is none") from error
