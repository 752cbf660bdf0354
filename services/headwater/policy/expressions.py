"""One value to another by an expression of the Common Expression Language (https://cel.dev). Pure.

Compiled once and kept. Bounded by what may be written: so many characters, no comprehensions (`map`, `filter`,
`all`, `exists`), texts of so many characters; so an expression's steps are bounded by its length, and a regular
expression is matched in linear time by the library (Rust: 4 to 12 microseconds a value). It knows one variable, `value`, and no field of anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from headwater.policy.words import EXPRESSION_CHARS_MAX

if TYPE_CHECKING:
    from cel import Program

TEXT_CHARS_MAX: Final = 65_536
"""Of a text that a function of ours makes."""
KEPT: Final = 4096
"""Expressions compiled at once: those of a few dozen tenants."""
_TEXTS: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_COMPREHENSION: Final = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one)\s*\(")
_OWN: Final = re.compile(r"[a-zA-Z]\w*")


class ExpressionFailed(ValueError):
    """An expression says nothing of a value."""


def expression_fault(source: str) -> str:
    """Return why *source* is no expression that could be used; empty when it is one."""
    if len(source) > EXPRESSION_CHARS_MAX:
        return f"has {len(source)} characters, more than {EXPRESSION_CHARS_MAX}"
    if _COMPREHENSION.search(_TEXTS.sub("''", source)):
        return "uses a comprehension (map, filter, all, exists): one value at a time"
    try:
        program = _compile(source)
    except ValueError as error:
        told = str(error).splitlines()[0].partition("ERROR: <input>:")[2]
        return f"does not parse: {told or 'no expression of CEL'}"
    named = program.references()
    foreign = [name for name in named["variables"] if name != "value"]
    if foreign:
        return f"names {foreign[0]!r}: there is only `value`"
    unknown = [name for name in named["functions"] if _OWN.fullmatch(name) and name not in _KNOWN]
    return f"calls {unknown[0]!r}, which there is not: {', '.join(sorted(_KNOWN))}" if unknown else ""


def evaluate(source: str, value: Any) -> Any:
    """Return what *source* makes of *value*: a text, number, boolean, list of such, or None.

    Raises:
        ExpressionFailed: it makes nothing of this value, or something else.
    """
    program, functions = _compiled(source)
    try:
        found = program.execute({"value": value, **functions})
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
        raise ExpressionFailed(str(error).partition("\n")[0][:200]) from error
    if found is None or isinstance(found, (str, int, float, bool)):
        return found
    if isinstance(found, list) and all(isinstance(item, (str, int, float, bool)) for item in found):
        return found
    raise ExpressionFailed(f"makes a {type(found).__name__}, not a text, number, boolean or list of them")


@lru_cache(KEPT)
def _compiled(source: str) -> tuple[Program, Mapping[str, Callable[..., Any]]]:
    program = _compile(source)
    called = {name: _FUNCTIONS[name] for name in program.functions() if name in _FUNCTIONS}
    return program, called


def _compile(source: str) -> Program:
    from cel import compile as compile_expression  # noqa: PLC0415 - brings a terminal's library: only for those who use it

    return compile_expression(source)


def _replace(text: Any, old: str, new: str) -> str:
    whole = str(text)
    count = whole.count(old)
    if len(whole) + count * len(new) > TEXT_CHARS_MAX:
        raise ValueError(f"replace would make more than {TEXT_CHARS_MAX} characters")
    return whole.replace(old, new)


def _split(text: Any, separator: str) -> list[str]:
    return str(text).split(separator) if separator else list(str(text))


def _join(parts: list[Any], separator: str = "") -> str:
    texts = [str(part) for part in parts]
    if sum(map(len, texts)) + len(texts) * len(separator) > TEXT_CHARS_MAX:
        raise ValueError(f"join would make more than {TEXT_CHARS_MAX} characters")
    return separator.join(texts)


def _substring(text: Any, start: int, end: int | None = None) -> str:
    return str(text)[max(start, 0) : end if end is None else max(end, 0)]


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "trim": lambda text: str(text).strip(),
    "lowerAscii": lambda text: str(text).lower(),
    "upperAscii": lambda text: str(text).upper(),
    "replace": _replace,
    "split": _split,
    "join": _join,
    "substring": _substring,
}
"""Functions of CEL's strings extension; given a number or boolean they take its text."""
_BUILT_IN: Final = frozenset(
    {
        "size",
        "string",
        "int",
        "double",
        "bool",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "timestamp",
        "has",
    }
)
_KNOWN: Final = frozenset(_FUNCTIONS) | _BUILT_IN
