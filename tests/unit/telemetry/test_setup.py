"""Whether and where spans go."""

import pytest

from headwater.kernel.telemetry import TelemetrySettings, TelemetryStats, start_telemetry
from headwater.kernel.telemetry.setup import resolve_endpoint

TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
ANY = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("environ", "setting", "expected"),
    [
        ({}, None, None),
        ({}, "http://127.0.0.1:1", "http://127.0.0.1:1"),
        ({ANY: "http://127.0.0.1:2"}, "http://127.0.0.1:1", "http://127.0.0.1:2"),
        ({ANY: "http://127.0.0.1:2", TRACES: "http://127.0.0.1:3"}, None, "http://127.0.0.1:3"),
        ({ANY: " "}, None, None),
        ({ANY: "http://127.0.0.1:2", "OTEL_SDK_DISABLED": "true"}, "http://127.0.0.1:1", None),
    ],
)
def test_standard_variables_win_over_the_setting(
    environ: dict[str, str],
    setting: str | None,
    expected: str | None,
) -> None:
    """The traces variable, the general one, the setting, then nothing; the off switch beats them all."""
    assert resolve_endpoint(TelemetrySettings(otlp_endpoint=setting), environ) == expected


def test_telemetry_is_off_and_harmless_without_an_endpoint() -> None:
    """Nothing is started, and stopping it is no work."""
    telemetry = start_telemetry("ingest", TelemetrySettings(), environ={})
    assert telemetry.enabled is False
    assert telemetry.stats() == TelemetryStats()
    assert telemetry.shutdown(0) is True
