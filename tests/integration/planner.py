"""What the planner of a server's version can do."""

from __future__ import annotations

from typing import Any, Final

import pytest

ARRAYS_ARE_KEYS: Final = 17
"""First version that looks the elements of `column = any($1)` up within one walk of an index, whatever column it is.

Before, such a condition on another than the first column is priced by element, and on a table that nobody has analysed
yet the planner filters by it: plans kept until autovacuum's first look, a minute by default.
"""


def skip_unless_arrays_are_keys(connection: Any) -> None:
    """Leave the test out where plans made on new tables are another thing."""
    major = connection.get_server_version().major
    if major < ARRAYS_ARE_KEYS:
        pytest.skip(f"PostgreSQL {major} keeps plans of new tables that filter, until its first ANALYZE")
