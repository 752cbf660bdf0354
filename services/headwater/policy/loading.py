"""From YAML text to a checked policy document, every fault with its line and column. Pure: reads no files.

A policy may be several texts, as the files of a folder: their mappings are laid into one another, and what one of them
says no other may say again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from io import StringIO
from itertools import islice
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML

from headwater.policy.checks import check
from headwater.policy.document import PolicyDocument
from headwater.policy.faults import Fault, nearest
from headwater.policy.parsing import PolicyRefused, locate, parse
from headwater.policy.words import Part

__all__ = ["FAULTS_MAX", "PolicyRefused", "PolicyText", "load_parts", "load_policy", "policy_digest"]

FAULTS_MAX: Final = 50
"""Faults told at once; whoever mends those sees the rest."""
FILES_MAX: Final = 256
"""Files of one policy."""
Trees = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy and the one text that says it."""

    document: PolicyDocument
    text: str


def load_policy(text: str) -> PolicyDocument:
    """Return the policy that *text* states.

    Raises:
        PolicyRefused: it is not YAML, has the wrong shape, or its parts disagree.
    """
    tree = parse(text)
    return _checked(tree, {"": tree})


def load_parts(parts: Mapping[str, str]) -> PolicyText:
    """Return the policy that several texts state together, and one text that states the same.

    Args:
        parts: name of the file to its text; one alone stays as it is.

    Raises:
        PolicyRefused: one of them is not YAML, two say the same, or as of `load_policy`; faults name their file.
    """
    if not 0 < len(parts) <= FILES_MAX:
        message = f"{len(parts)} files make no policy: 1 to {FILES_MAX} do"
        raise PolicyRefused((Fault("", "files", message, "put *.yaml files into the folder"),))
    trees = {name: _parse_part(name, text) for name, text in parts.items()}
    if len(parts) == 1:
        ((name, text),) = parts.items()
        return PolicyText(_checked(trees[name], trees), text)
    whole: dict[str, Any] = {}
    twice = [fault for name, tree in trees.items() for fault in _lay(whole, tree, "", name)]
    if twice:
        raise PolicyRefused(
            tuple(_placed({item.file: trees[item.file]}, item) for item in twice[:FAULTS_MAX])
        )
    document = _checked(whole, trees)
    written = StringIO()
    YAML(typ="rt").dump(_plain(whole), written)
    return PolicyText(document, written.getvalue())


def policy_digest(text: str) -> str:
    """Return the 16 hex digits by which a policy's text is known: the first of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parse_part(name: str, text: str) -> Any:
    try:
        tree = parse(text)
    except PolicyRefused as refused:
        raise PolicyRefused(tuple(replace(item, file=name) for item in refused.faults)) from refused
    if not isinstance(tree, dict):
        message = "is no mapping: a part of a policy begins with systems, objects, connectors or the like"
        raise PolicyRefused((Fault("", "model_type", message, line=1, column=1, file=name),))
    return tree


def _lay(whole: dict[str, Any], part: Any, path: str, file: str) -> Iterator[Fault]:
    """Lay the mapping *part* into *whole*; yield what is there already and is no mapping on both sides."""
    for key, value in part.items():
        place = f"{path}.{key}" if path else str(key)
        held = whole.get(key)
        if isinstance(held, dict) and isinstance(value, dict):
            yield from _lay(held, value, place, file)
        elif key in whole:
            yield Fault(place, "one_place", "is said in another file already", file=file)
        else:
            whole[key] = _plain(value)


def _plain(node: Any) -> Any:
    """Return a tree without positions and comments, whose mappings are its own."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def _checked(tree: Any, trees: Trees) -> PolicyDocument:
    try:
        document = PolicyDocument.model_validate(tree)
    except ValidationError as error:
        shown = error.errors(include_url=False, include_context=False)[:FAULTS_MAX]
        raise PolicyRefused(tuple(_placed(trees, _shape_fault(item)) for item in shown)) from error
    faults = tuple(_placed(trees, fault) for fault in islice(check(document), FAULTS_MAX))
    if faults:
        raise PolicyRefused(faults)
    return document


def _placed(trees: Trees, fault: Fault) -> Fault:
    """Return *fault* with file, line and column: those of the text that says most of its path."""
    found = [(name, locate(tree, fault.path)) for name, tree in trees.items()]
    file, (line, column, _) = max(found, key=lambda item: item[1][2])
    return replace(fault, file=file, line=line, column=column)


def _shape_fault(item: Any) -> Fault:
    """Return what pydantic found as a fault, with the value where it is a plain one."""
    path, rule, given = [str(part) for part in item["loc"]], str(item["type"]), item.get("input")
    message = str(item["msg"]).removeprefix("Value error, ")
    if rule != "missing" and isinstance(given, (str, int, float)):
        message = f"{message} (value: {repr(given)[:128]})"
    return Fault(".".join(path), rule, message, _shape_fix(rule, path, str(item["msg"]), given))


def _shape_fix(rule: str, path: list[str], message: str, given: Any) -> str:
    """Return what to do about a shape where more can be said than of its kind; else nothing."""
    if rule == "missing":
        return f"add `{path[-1]}: …` here"
    if rule == "extra_forbidden":
        return nearest(path[-1], _settings())
    return nearest(str(given), re.findall(r"'([^']+)'", message)) if rule == "literal_error" else ""


@lru_cache(1)
def _settings() -> frozenset[str]:
    """Return the name of every setting of every part."""
    parts, found = [Part], set[str]()
    while parts:
        part = parts.pop()
        parts.extend(part.__subclasses__())
        found.update(item.alias or name for name, item in part.model_fields.items())
    return frozenset(found)
