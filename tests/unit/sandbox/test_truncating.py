"""A page that ends early says that nothing follows; what is no page is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.sandbox.call import Answer
from headwater.sandbox.truncating import truncated

LIST: dict[str, Any] = {
    "results": [{"id": str(one)} for one in range(10)],
    "paging": {"next": {"after": "9"}},
}
QUERY: dict[str, Any] = {
    "totalSize": 30,
    "done": False,
    "records": [{"Id": str(one)} for one in range(10)],
    "nextRecordsUrl": "/x",
}


def test_a_list_and_a_query_lose_their_tail_and_their_next_page() -> None:
    """Both vendors' pages; the number that a query counts stays."""
    assert truncated(Answer(200, LIST), 0.3).content == {"results": LIST["results"][:7]}
    short = truncated(Answer(200, QUERY), 0.3).content
    assert short == {"totalSize": 30, "done": True, "records": QUERY["records"][:7]}


@pytest.mark.parametrize("content", [None, "text", {"total": 3}, {"results": [{"id": "1"}]}, {"results": {}}])
def test_what_is_no_page_is_left_alone(content: Any) -> None:
    """A count, a single record, an object."""
    assert truncated(Answer(200, content), 0.5).content == content
