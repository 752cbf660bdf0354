"""What of a URL reaches a span."""

import pytest

from headwater.kernel.telemetry.url import server_of, url_for_span


@pytest.mark.parametrize(
    ("url", "shown", "server"),
    [
        ("https://h.test/a/b", "https://h.test/a/b", ("h.test", 443)),
        ("http://h.test:8080/a?q=secret#f", "http://h.test:8080/a", ("h.test", 8080)),
        ("https://user:pw@h.test/", "https://h.test/", ("h.test", 443)),
        ("https://h.test/c/ann@x.test/deals", "https://h.test/c/REDACTED/deals", ("h.test", 443)),
        ("http://[::1]:9/a", "http://[::1]:9/a", ("::1", 9)),
        ("http://h.test:bad/", "", ("", 0)),
    ],
)
def test_url_keeps_the_place_and_loses_what_it_carried(url: str, shown: str, server: tuple[str, int]) -> None:
    """Host, port and path stay; credentials, query, fragment and addresses go; nonsense gives nothing."""
    assert (url_for_span(url), server_of(url)) == (shown, server)
