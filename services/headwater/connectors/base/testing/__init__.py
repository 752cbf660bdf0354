"""What whoever writes a connector tests it with: a gate, a wire that breaks, and the conformance suite.

    gates        a call gate that lets everything pass and remembers it
    wire         a transport that fails as networks and vendors do, and answers that arrive changed
    lab          one account of a vendor under test, and how its records look
    conformance  what every connector must do; subclass it (needs pytest)
    evidence     a pytest plugin: which operation of which connector was proven against what

Shipped, so that a connector of somebody else's passes the very same tests. Must not be imported by services.
"""

from headwater.connectors.base.testing.gates import RecordedCall, RecordingGate

__all__ = ["RecordedCall", "RecordingGate"]
