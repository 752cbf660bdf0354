"""A secret shows itself to nobody who does not ask for it by name."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import msgspec
import pytest

from headwater.kernel.secret import REDACTED, Secret

HIDDEN = "xoxp-very-secret"


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(HIDDEN)),
        str(Secret(HIDDEN)),
        f"{Secret(HIDDEN)}",
        f"{Secret(HIDDEN):>20}",
        f"{Secret(HIDDEN)!r}",
        "%s %r" % (Secret(HIDDEN), Secret(HIDDEN)),  # noqa: UP031 - as loggers do
        repr({"a": [Secret(HIDDEN)]}),
        json.dumps({"a": Secret(HIDDEN)}, default=str),
        msgspec.json.encode({"a": Secret(HIDDEN)}, enc_hook=str).decode(),
        pickle.dumps(Secret(HIDDEN)).decode("latin-1"),
        pickle.dumps({"deep": [Secret(HIDDEN)]}, protocol=0).decode("latin-1"),
        str(vars(logging.LogRecord("n", 20, "p", 1, "%s", (Secret(HIDDEN),), None))),
        "".join(traceback.format_exception(ValueError(Secret(HIDDEN)))),
    ],
)
def test_whatever_makes_text_of_a_secret_gets_stars(shown: str) -> None:
    """Repr, str, format, JSON, pickle, log records and tracebacks."""
    assert HIDDEN not in shown
    assert REDACTED in shown


def test_json_without_a_default_refuses() -> None:
    """A secret is no text: what does not know it fails rather than shows it."""
    with pytest.raises(TypeError):
        json.dumps(Secret(HIDDEN))
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(HIDDEN))


def test_reveal_is_the_way_to_it() -> None:
    """Copies keep it, a pickle does not, and it cannot be changed."""
    secret = Secret(HIDDEN)
    assert (secret.reveal(), copy.deepcopy(secret).reveal()) == (HIDDEN, HIDDEN)
    assert pickle.loads(pickle.dumps(secret)).reveal() == REDACTED  # noqa: S301 - our own bytes
    assert secret == Secret(HIDDEN)
    assert secret != Secret("other")
    with pytest.raises(AttributeError):
        secret._value = "other"  # noqa: SLF001 - the point
