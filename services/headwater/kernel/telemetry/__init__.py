"""Telemetry: trace context as data, spans by the current conventions, JSON logs. Known to no service.

`start_telemetry` gives a process its `Telemetry`; `Telemetry.spans` starts spans; `TraceContext` is what rows
store. The gRPC interceptors are in `telemetry.rpc`, the names in `telemetry.names`.
"""

from headwater.kernel.telemetry.context import (
    AttemptRelation,
    Child,
    Linked,
    TraceContext,
    attempt_relation,
    current,
    under,
)
from headwater.kernel.telemetry.logs import bound_fields, configure_logging
from headwater.kernel.telemetry.queue import Spans
from headwater.kernel.telemetry.setup import Telemetry, TelemetrySettings, TelemetryStats, start_telemetry
from headwater.kernel.telemetry.span import ActiveSpan, SpanHandle

__all__ = [
    "ActiveSpan",
    "AttemptRelation",
    "Child",
    "Linked",
    "SpanHandle",
    "Spans",
    "Telemetry",
    "TelemetrySettings",
    "TelemetryStats",
    "TraceContext",
    "attempt_relation",
    "bound_fields",
    "configure_logging",
    "current",
    "start_telemetry",
    "under",
]
