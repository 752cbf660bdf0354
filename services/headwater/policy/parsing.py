"""From YAML text to its tree, bounded, and from a path back to the line and column. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.policy.faults import Fault, fix_of

NODES_MAX: Final = 100_000
"""Keys and values of a policy, aliases spelled out: a hundred times the largest one known."""
DEPTH_MAX: Final = 32
"""Mappings and lists inside one another; the document's own shape has nine."""
_BRACKETS = re.compile(r"[\[\]{}]")
_MARKERS = re.compile(r"(?:[-?:][ \t]+){33}")
MESSAGE_CHARS_MAX: Final = 300


class PolicyRefused(InvalidInput):
    """The text is no policy that could be applied; *faults* say all that is wrong."""

    default_reason = "POLICY_REFUSED"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        mended = tuple(item if item.fix else replace(item, fix=fix_of(item.rule)) for item in faults)
        lines = "; ".join(f"line {item.line}: {item.path}: {item.message}" for item in mended[:5])
        more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""  # noqa: PLR2004
        violations = tuple(
            FieldViolation(item.path, "", item.rule, f"{item.message}: {item.fix}") for item in mended
        )
        super().__init__(f"policy refused: {lines}{more}", violations=violations)
        self.faults = mended


def parse(text: str) -> Any:
    """Return the tree of *text*, positions kept.

    Raises:
        PolicyRefused: it is not YAML, or larger or deeper than any policy.
    """
    if _nests_deep(text):
        raise PolicyRefused((Fault("", "depth_max", f"must not nest deeper than {DEPTH_MAX}"),))
    reader = YAML(typ="rt")
    reader.allow_duplicate_keys = False
    try:
        tree = reader.load(StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message = str(error.problem or error)[:MESSAGE_CHARS_MAX]
        raise PolicyRefused((Fault("", "yaml", message, line=line, column=column),)) from error
    except (YAMLError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        # Beside its own errors the reader lets out those of the constructors of its tags (!!int, !!timestamp).
        message = str(error)[:MESSAGE_CHARS_MAX] or type(error).__name__
        raise PolicyRefused((Fault("", "yaml", message),)) from error
    except RecursionError as error:
        raise PolicyRefused((Fault("", "depth_max", "nests too deep"),)) from error
    if _spread(tree, {}, 0) > NODES_MAX:
        message = (
            f"must not have more than {NODES_MAX} parts, aliases spelled out, or nest deeper than {DEPTH_MAX}"
        )
        raise PolicyRefused((Fault("", "size", message),))
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


def locate(tree: Any, path: str) -> tuple[int, int, int]:
    """Return line and column of the deepest part of *path* that exists, and how many of its characters led there.

    Keys may hold dots themselves; the longest key that is there goes first.
    """
    line, column, parts, used = 1, 1, path.split(".") if path else [], 0
    while parts:
        taken = next(
            (n for n in range(len(parts), 0, -1) if _child(tree, ".".join(parts[:n])) is not _NONE), 0
        )
        if not taken:
            break
        key, name = _key(tree, ".".join(parts[:taken])), ".".join(parts[:taken])
        known = getattr(getattr(tree, "lc", None), "data", None) or {}
        if key in known:
            line, column = known[key][0] + 1, known[key][1] + 1
        tree, parts, used = tree[key], parts[taken:], used + len(name)
    return line, column, used


_NONE: Final = object()


def _key(tree: Any, name: str) -> Any:
    return int(name) if isinstance(tree, list) and name.isdecimal() else name


def _child(tree: Any, name: str) -> Any:
    try:
        return tree[_key(tree, name)]
    except (KeyError, IndexError, TypeError):
        return _NONE
