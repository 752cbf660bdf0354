"""Several processes of one service on the same ports: reserved, started, restarted, rolled and ended as one.

For services that keep no state in memory. The first process becomes the supervisor: it reserves the ports and never
listens; Linux spreads new connections over the processes that do (SO_REUSEPORT). Knows no service.
"""

from headwater.kernel.replicas.addresses import process_count, reserve
from headwater.kernel.replicas.parent import watch_parent
from headwater.kernel.replicas.restarting import RestartSettings
from headwater.kernel.replicas.supervisor import ReplicaSettings, ReplicaSupervisor

__all__ = [
    "ReplicaSettings",
    "ReplicaSupervisor",
    "RestartSettings",
    "process_count",
    "reserve",
    "watch_parent",
]
