"""The choice of server."""

from __future__ import annotations

import pytest

from headwater.kernel.pg.dsn import DATABASE_URL_VARIABLE, database_url, masked, with_database


@pytest.mark.parametrize("environment", [{}, {DATABASE_URL_VARIABLE: ""}, {DATABASE_URL_VARIABLE: "  "}])
def test_embedded_server_is_meant_when_nothing_is_set(environment: dict[str, str]) -> None:
    """Unset and empty both mean the embedded server."""
    assert database_url(environment) is None


def test_url_is_taken_from_the_environment() -> None:
    """A PostgreSQL URL is used as it stands."""
    url = "postgresql://me@db.example/headwater"
    assert database_url({DATABASE_URL_VARIABLE: f" {url}\n"}) == url


def test_other_urls_are_refused_without_showing_them() -> None:
    """The message names the variable and hides the value, which may hold a password."""
    with pytest.raises(ValueError, match=DATABASE_URL_VARIABLE) as caught:
        database_url({DATABASE_URL_VARIABLE: "mysql://me:hunter2@db/x"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:5432/a", "postgresql://u:p@h:5432/b"),
        ("postgresql://u@/a?host=/x/y&port=1", "postgresql://u@/b?host=/x/y&port=1"),
        ("postgresql:///a?host=/x", "postgresql:///b?host=/x"),
        ("postgresql://h", "postgresql://h/b"),
    ],
)
def test_database_of_a_url_is_replaced(url: str, expected: str) -> None:
    """Only the database changes, socket URLs included."""
    assert with_database(url, "b") == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40@h:5432/a?x=1", "postgresql://u:***@h:5432/a?x=1"),
        ("postgresql://u@/a?host=/x", "postgresql://u@/a?host=/x"),
    ],
)
def test_password_is_masked(url: str, expected: str) -> None:
    """A URL can be printed without its password."""
    assert masked(url) == expected
