"""Metrics: numbers of a process, their names in one place, and the door at which Prometheus reads them.

`Metrics` holds every number of a service, pre-created at zero; hot paths take a series of it once and add to it.
`names` is the only place that knows a metric's name, help, unit and labels. `door` opens the door.
"""

from headwater.kernel.metrics.book import Metrics

__all__ = ["Metrics"]
