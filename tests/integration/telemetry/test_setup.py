"""Telemetry of a whole process: what is imported, and what a dead receiver costs."""

import socket
import subprocess
import sys
import time

import pytest

from headwater.kernel.telemetry import TelemetrySettings, start_telemetry

_PROBE = """
import sys
from headwater.kernel.telemetry import TelemetrySettings, start_telemetry
import headwater.kernel.telemetry.rpc
telemetry = start_telemetry("probe", TelemetrySettings(), environ={})
with telemetry.spans.root("work"):
    pass
print(any(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in sys.modules))
"""


def test_sdk_is_not_imported_without_an_endpoint() -> None:
    """A process that exports nothing does not pay for the SDK."""
    found = subprocess.run(
        [sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True, timeout=15
    )
    assert found.stdout.strip() == "False"


@pytest.fixture
def dead_endpoint() -> str:
    """Return an address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_dead_receiver_costs_spans_only(dead_endpoint: str) -> None:
    """Spans end at once, what cannot be sent is counted, and the stop is in time."""
    settings = TelemetrySettings(
        otlp_endpoint=dead_endpoint,
        sample_ratio=1.0,
        queue_spans_max=100,
        batch_spans_max=50,
        export_timeout_s=0.3,
    )
    telemetry = start_telemetry("test", settings, environ={})
    begin = time.monotonic()
    for _ in range(1_000):
        with telemetry.spans.db("COPY", "event", 10):
            pass
    spent_s = time.monotonic() - begin
    telemetry.shutdown(2.0)
    stats = telemetry.stats()
    assert spent_s < 1.0
    assert time.monotonic() - begin < 4.0
    assert (stats.ended, stats.exported) == (1_000, 0)
    assert stats.dropped + stats.failed == 1_000
