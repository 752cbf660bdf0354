"""The connector kit: the port every vendor implements, in Headwater's words.

A vendor is a package with the attribute `VENDOR: Vendor`, found by the entry point group
`headwater.connectors`. It knows the vendor's words; the actor in `sync` knows time, limits,
retries and order.
"""

from headwater.connectors.base.capabilities import Capabilities
from headwater.connectors.base.conditions import Automation, AutomationKind, Inspectable, WriteConditions
from headwater.connectors.base.doubt import (
    InDoubtProtocol,
    Promise,
    WriteKind,
    creating_kind,
    keyed_kind,
)
from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.expiring import Expiring, Expiry
from headwater.connectors.base.fetching import Fetched, Fetcher
from headwater.connectors.base.merging import (
    RESTORED,
    Link,
    Mergeable,
    Merged,
    Merging,
    Present,
    Snapshot,
    Step,
    StepKind,
    Terms,
)
from headwater.connectors.base.polling import Page, Polled, Poller, Seen, Windowed
from headwater.connectors.base.port import (
    Account,
    CallGate,
    Connector,
    Failed,
    Found,
    LimitFacts,
    Outcome,
    Reference,
    Report,
    Target,
    Vendor,
    Write,
    Written,
)
from headwater.connectors.base.registry import load_vendor, vendor_names

__all__ = [
    "RESTORED",
    "Account",
    "Automation",
    "AutomationKind",
    "CallFailed",
    "CallGate",
    "Capabilities",
    "Connector",
    "ErrorClass",
    "Expiring",
    "Expiry",
    "Failed",
    "Fetched",
    "Fetcher",
    "Found",
    "InDoubtProtocol",
    "Inspectable",
    "LimitFacts",
    "Link",
    "Mergeable",
    "Merged",
    "Merging",
    "Outcome",
    "Page",
    "Polled",
    "Poller",
    "Present",
    "Promise",
    "Reference",
    "Report",
    "Seen",
    "Snapshot",
    "Step",
    "StepKind",
    "Target",
    "Terms",
    "Vendor",
    "VendorError",
    "Windowed",
    "Write",
    "WriteConditions",
    "WriteKind",
    "Written",
    "creating_kind",
    "keyed_kind",
    "load_vendor",
    "vendor_names",
]
