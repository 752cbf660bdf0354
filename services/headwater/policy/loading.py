"""From YAML text to a checked policy document, every fault with its line. Pure: reads no files."""

from __future__ import annotations

import hashlib
from io import StringIO
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.policy.checks import Fault, check
from headwater.policy.document import PolicyDocument


class PolicyRefused(InvalidInput):
    """The text is no policy that could be applied; *faults* say all that is wrong."""

    default_reason = "POLICY_REFUSED"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        lines = "; ".join(f"line {item.line}: {item.path}: {item.message}" for item in faults[:5])
        more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""  # noqa: PLR2004
        violations = tuple(FieldViolation(item.path, "", item.rule, item.message) for item in faults)
        super().__init__(f"policy refused: {lines}{more}", violations=violations)
        self.faults = faults


def load_policy(text: str) -> PolicyDocument:
    """Return the policy that *text* states.

    Raises:
        PolicyRefused: it is not YAML, has the wrong shape, or its parts disagree.
    """
    tree = _parse(text)
    try:
        document = PolicyDocument.model_validate(tree)
    except ValidationError as error:
        raise PolicyRefused(tuple(_shape_fault(tree, item) for item in error.errors())) from error
    faults = check(document)
    if faults:
        located = (
            Fault(item.path, item.rule, item.message, _line(tree, item.path.split("."))) for item in faults
        )
        raise PolicyRefused(tuple(located))
    return document


def policy_digest(text: str) -> str:
    """Return the 16 hex digits by which a policy's text is known: the first of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parse(text: str) -> Any:
    reader = YAML(typ="rt")
    reader.allow_duplicate_keys = False
    try:
        return reader.load(StringIO(text))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise PolicyRefused((Fault("", "yaml", str(error.problem or error), line),)) from error


def _shape_fault(tree: Any, item: Any) -> Fault:
    path = [str(part) for part in item["loc"]]
    value = repr(item.get("input"))[:128]
    return Fault(".".join(path), str(item["type"]), f"{item['msg']} (value: {value})", _line(tree, path))


def _line(tree: Any, path: list[str]) -> int:
    """Return the line of the deepest part of *path* that exists; ruamel keeps lines per key."""
    line = 1
    for part in path:
        position = getattr(tree, "lc", None)
        key: Any = int(part) if part.isdigit() and isinstance(tree, list) else part
        try:
            child = tree[key]
        except (KeyError, IndexError, TypeError):
            break
        if position is not None and position.data and key in position.data:
            line = position.data[key][0] + 1
        tree = child
    return line
