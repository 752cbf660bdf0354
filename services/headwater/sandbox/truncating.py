"""Owns the page that ends early: fewer records than there are, and no word that more follow. Knows both vendors' pages.

What callers of list endpoints report of real vendors: a page that was cut while its records were changing, a search
index that lags behind, a `next` link that is missing. The count of an answer that only counts is left alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from headwater.sandbox.call import Answer

_LISTS = ("results", "records")
_FOLLOWING = ("paging", "nextRecordsUrl")


def truncated(answer: Answer, share: float) -> Answer:
    """The answer without the last *share* (0..1) of its records, as if nothing followed; others as they are."""
    body: Any = answer.content
    name = next((one for one in _LISTS if isinstance(body, dict) and isinstance(body.get(one), list)), None)
    if name is None or len(body[name]) < 2:  # noqa: PLR2004 - one record, or a count, is no page
        return answer
    kept = len(body[name]) - math.ceil(len(body[name]) * share)
    short = {key: value for key, value in body.items() if key not in _FOLLOWING} | {name: body[name][:kept]}
    if "done" in short:
        short["done"] = True
    return replace(answer, content=short)
