"""From YAML text to a checked policy document, every fault with its line. Pure: reads no files."""

from __future__ import annotations

import hashlib
import math
import re
from io import StringIO
from itertools import islice
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.policy.checks import Fault, check
from headwater.policy.document import PolicyDocument

NODES_MAX: Final = 100_000
"""Keys and values of a policy, aliases spelled out: a hundred times the largest one known."""
DEPTH_MAX: Final = 32
"""Mappings and lists inside one another; the document's own shape has nine."""
_BRACKETS = re.compile(r"[\[\]{}]")
_MARKERS = re.compile(r"(?:[-?:][ \t]+){33}")
FAULTS_MAX: Final = 50
"""Faults told at once; whoever mends those sees the rest."""
MESSAGE_CHARS_MAX: Final = 300


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
        shown = error.errors(include_url=False, include_context=False)[:FAULTS_MAX]
        raise PolicyRefused(tuple(_shape_fault(tree, item) for item in shown)) from error
    faults = check(document)
    if faults:
        located = (
            Fault(item.path, item.rule, item.message, _line(tree, item.path.split("."))) for item in faults
        )
        raise PolicyRefused(tuple(islice(located, FAULTS_MAX)))
    return document


def policy_digest(text: str) -> str:
    """Return the 16 hex digits by which a policy's text is known: the first of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parse(text: str) -> Any:
    if _nests_deep(text):
        raise PolicyRefused((Fault("", "depth_max", f"must not nest deeper than {DEPTH_MAX}", 0),))
    reader = YAML(typ="rt")
    reader.allow_duplicate_keys = False
    try:
        tree = reader.load(StringIO(text))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise PolicyRefused((Fault("", "yaml", str(error.problem or error), line),)) from error
    except (YAMLError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        # Beside its own errors the reader lets out those of the constructors of its tags (!!int, !!timestamp).
        message = str(error)[:MESSAGE_CHARS_MAX] or type(error).__name__
        raise PolicyRefused((Fault("", "yaml", message, 0),)) from error
    except RecursionError as error:
        raise PolicyRefused((Fault("", "depth_max", "nests too deep", 0),)) from error
    if _spread(tree, {}, 0) > NODES_MAX:
        message = (
            f"must not have more than {NODES_MAX} parts, aliases spelled out, or nest deeper than {DEPTH_MAX}"
        )
        raise PolicyRefused((Fault("", "size", message, 0),))
    return tree


def _nests_deep(text: str) -> bool:
    """Tell whether lists and mappings are opened in one another far beyond any policy's need.

    The reader takes time that grows with the square of the depth, half a minute at 3,000; so this is looked at
    before it, roughly: brackets, and block markers in a row, wherever they stand.
    """
    if _MARKERS.search(text):
        return True
    depth = 0
    for bracket in _BRACKETS.findall(text):
        depth = depth + 1 if bracket in "[{" else max(depth - 1, 0)
        if depth > DEPTH_MAX:
            return True
    return False


def _spread(node: Any, known: dict[int, float], depth: int) -> float:
    """Return how many parts *node* has once its aliases are spelled out; infinite where it holds itself.

    A few lines of aliases of aliases stand for billions of parts: whatever walked them would never end.
    """
    if not isinstance(node, (dict, list)):
        return 1
    if depth > DEPTH_MAX:
        return math.inf
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is counted: met again inside itself, it has no end
        parts = (*node.keys(), *node.values()) if isinstance(node, dict) else node
        known[id(node)] = 1 + sum(_spread(part, known, depth + 1) for part in parts)
    return known[id(node)]


def _shape_fault(tree: Any, item: Any) -> Fault:
    path = [str(part) for part in item["loc"]]
    value = repr(item.get("input"))[:128]
    return Fault(".".join(path), str(item["type"]), f"{item['msg']} (value: {value})", _line(tree, path))


def _line(tree: Any, path: list[str]) -> int:
    """Return the line of the deepest part of *path* that exists; ruamel keeps lines per key."""
    line = 1
    for part in path:
        position = getattr(tree, "lc", None)
        key: Any = int(part) if part.isdecimal() and isinstance(tree, list) else part
        try:
            child = tree[key]
        except (KeyError, IndexError, TypeError):
            break
        if position is not None and position.data and key in position.data:
            line = position.data[key][0] + 1
        tree = child
    return line
