"""Owns the grammar of the SOQL subset: text in, a query value out. Knows no record and no sObject.

query  := SELECT (COUNT() | fold {, fold} | path {, path}) FROM name [WHERE expr] [ORDER BY path [ASC|DESC] [NULLS FIRST|LAST] {, ...}]
          [LIMIT n] [OFFSET n]
fold   := (COUNT | MAX | MIN) ( path ) [alias]
expr   := term {OR term};  term := factor {AND factor};  factor := NOT factor | ( expr ) | path op value
op     := = | != | <> | < | <= | > | >= | LIKE | IN | NOT IN
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from headwater.sandbox.salesforce.errors import RowError

Value = str | float | bool | None

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<date>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d))?)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w.]*)|(?P<sign><=|>=|!=|<>|[=<>(),]))"
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_FOLDS: dict[str, Literal["count", "max", "min"]] = {"count": "count", "max": "max", "min": "min"}
_SIGNS = {"=", "!=", "<>", "<", "<=", ">", ">="}


@dataclass(frozen=True, slots=True)
class Compare:
    """A path against a value, or against several for IN."""

    path: str
    op: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Combine:
    """All or any of the parts, or none of the one part."""

    how: Literal["and", "or", "not"]
    parts: tuple[Compare | Combine, ...]


Condition = Compare | Combine


@dataclass(frozen=True, slots=True)
class Order:
    """One sort key."""

    path: str
    down: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Fold:
    """An aggregate over all rows, under a name of its own: `expr0` and so on where the query gives none."""

    how: Literal["count", "max", "min"]
    path: str
    alias: str


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query; `count` means SELECT COUNT(), *folds* one row of aggregates."""

    text: str
    paths: tuple[str, ...]
    count: bool
    source: str
    source_column: int
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    folds: tuple[Fold, ...] = ()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


class SoqlError(Exception):
    """The query is refused; `error` says why in the vendor's words."""

    def __init__(self, error: RowError) -> None:
        super().__init__(error.message)
        self.error = error


def parse(text: str) -> Query:
    """The query that the text says.

    Raises:
        SoqlError: the text is not of the subset.
    """
    return _Parser(text).query()


def located(text: str, column: int, message: str) -> str:
    """A message under the text with a mark below the column (1-based), as Salesforce words it."""
    return f"\n{text}\n{' ' * (column - 1)}^\nERROR at Row:1:Column:{column}\n{message}"


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan(text))
        self._next = 0

    def _scan(self, text: str) -> list[_Token]:
        tokens, place = [], 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._wrong(text[place:].strip()[:1], place + 1)
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
            place = found.end()
        tokens.append(_Token("end", "<EOF>", len(text) + 1))
        return tokens

    def query(self) -> Query:
        self._keyword("select")
        count, paths, folds = self._selected()
        self._keyword("from")
        source = self._take("word")
        where = self._expression() if self._maybe("where") else None
        order = self._orders() if self._maybe("order") else ()
        limit = int(self._take("number").text) if self._maybe("limit") else None
        offset = int(self._take("number").text) if self._maybe("offset") else 0
        self._take("end")
        return Query(self._text, paths, count, source.text, source.column, where, order, limit, offset, folds)

    def _selected(self) -> tuple[bool, tuple[str, ...], tuple[Fold, ...]]:
        first = self._take("word")
        if self._opens(first):
            if first.text.lower() == "count" and self._peeks(")"):
                self._sign(")")
                return True, (), ()
            folds = [self._fold(first, 0)]
            while self._maybe_sign(","):
                word = self._take("word")
                self._opens(word)
                folds.append(self._fold(word, len(folds)))
            return False, (), tuple(folds)
        paths = [first.text]
        while self._maybe_sign(","):
            paths.append(self._take("word").text)
        return False, tuple(paths), ()

    def _opens(self, word: _Token) -> bool:
        return word.text.lower() in _FOLDS and self._maybe_sign("(")

    def _peeks(self, sign: str) -> bool:
        return self._tokens[self._next].text == sign

    def _fold(self, word: _Token, number: int) -> Fold:
        """An aggregate whose parenthesis is open."""
        path = self._take("word").text
        self._sign(")")
        named = self._tokens[self._next]
        alias = f"expr{number}"
        if named.kind == "word" and named.text.lower() != "from":
            alias = self._take("word").text
        return Fold(_FOLDS[word.text.lower()], path, alias)

    def _orders(self) -> tuple[Order, ...]:
        self._keyword("by")
        orders = [self._order()]
        while self._maybe_sign(","):
            orders.append(self._order())
        return tuple(orders)

    def _order(self) -> Order:
        path = self._take("word").text
        down = self._maybe("desc")
        if not down:
            self._maybe("asc")
        last = down
        if self._maybe("nulls"):
            last = self._maybe("last")
            if not last:
                self._keyword("first")
        return Order(path, down, last)

    def _expression(self) -> Condition:
        parts = [self._term()]
        while self._maybe("or"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Combine("or", tuple(parts))

    def _term(self) -> Condition:
        parts = [self._factor()]
        while self._maybe("and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else Combine("and", tuple(parts))

    def _factor(self) -> Condition:
        if self._maybe("not"):
            return Combine("not", (self._factor(),))
        if self._maybe_sign("("):
            inside = self._expression()
            self._sign(")")
            return inside
        path = self._take("word").text
        if self._maybe("like"):
            return Compare(path, "like", (self._value(),))
        if self._maybe("not"):
            self._keyword("in")
            return Combine("not", (Compare(path, "in", self._values()),))
        if self._maybe("in"):
            return Compare(path, "in", self._values())
        sign = self._take("sign")
        if sign.text not in _SIGNS:
            raise self._wrong(sign.text, sign.column)
        return Compare(path, "!=" if sign.text == "<>" else sign.text, (self._value(),))

    def _values(self) -> tuple[Value, ...]:
        self._sign("(")
        values = [self._value()]
        while self._maybe_sign(","):
            values.append(self._value())
        self._sign(")")
        return tuple(values)

    def _value(self) -> Value:
        token = self._tokens[self._next]
        self._next += 1
        if token.kind == "text":
            return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token.text[1:-1])
        if token.kind == "number":
            return float(token.text)
        if token.kind == "date":
            return token.text
        words: dict[str, Value] = {"true": True, "false": False, "null": None}
        if token.text.lower() in words:
            return words[token.text.lower()]
        raise self._wrong(token.text, token.column)

    def _keyword(self, word: str) -> None:
        if not self._maybe(word):
            token = self._tokens[self._next]
            raise self._wrong(token.text, token.column)

    def _maybe(self, word: str) -> bool:
        token = self._tokens[self._next]
        hit = token.kind == "word" and token.text.lower() == word
        self._next += hit
        return hit

    def _maybe_sign(self, sign: str) -> bool:
        hit = self._tokens[self._next].text == sign and self._tokens[self._next].kind == "sign"
        self._next += hit
        return hit

    def _sign(self, sign: str) -> None:
        if not self._maybe_sign(sign):
            token = self._tokens[self._next]
            raise self._wrong(token.text, token.column)

    def _take(self, kind: str) -> _Token:
        token = self._tokens[self._next]
        if token.kind != kind:
            raise self._wrong(token.text, token.column)
        self._next += 1
        return token

    def _wrong(self, shown: str, column: int) -> SoqlError:
        message = located(self._text, column, f"unexpected token: '{shown}'")
        return SoqlError(RowError("MALFORMED_QUERY", message))
