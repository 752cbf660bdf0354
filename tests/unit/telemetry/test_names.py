"""The table of attribute names, held against the published conventions."""

import importlib
import pkgutil
from types import ModuleType

import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable
import pytest

from headwater.kernel.telemetry import names
from headwater.kernel.telemetry.names import ATTRIBUTES, Stability

CONVENTION = [name for name, stability in ATTRIBUTES.items() if stability is not Stability.HEADWATER]


def _published(package: ModuleType) -> set[str]:
    found: set[str] = set()
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        values = vars(importlib.import_module(module.name)).values()
        found.update(value for value in values if isinstance(value, str))
    return found


@pytest.mark.parametrize("name", CONVENTION)
def test_convention_name_is_published(name: str) -> None:
    """A name without our prefix is one of the installed conventions, to the letter."""
    assert name in _published(incubating) | _published(stable)


@pytest.mark.parametrize("name", CONVENTION)
def test_stability_says_what_the_conventions_say(name: str) -> None:
    """A name is called stable exactly when the conventions publish it as stable."""
    assert (ATTRIBUTES[name] is Stability.STABLE) == (name in _published(stable))


def test_every_attribute_constant_is_in_the_table() -> None:
    """No attribute name is defined in the module without a stability."""
    dotted = {
        value
        for key, value in vars(names).items()
        if key.isupper() and isinstance(value, str) and "." in value
    }
    assert dotted == set(ATTRIBUTES)


def test_our_own_names_carry_our_prefix() -> None:
    """What is ours cannot collide with what a convention may define."""
    ours = [name for name, stability in ATTRIBUTES.items() if stability is Stability.HEADWATER]
    assert ours
    assert all(name.startswith("headwater.") for name in ours)


def test_unregistered_names_what_the_table_lacks() -> None:
    """The check tells the foreign names, in order."""
    assert names.unregistered(["rpc.service", names.TENANT, "person.email"]) == (
        "rpc.service",
        "person.email",
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("SERVER", "headwater.ingest.v1.IngestService/RecordEvent"),
        ("CLIENT", "headwater.identity.v1.IdentityService/ResolveBatch"),
        ("SERVER", "POST /v1/webhooks/{tenant_id}"),
        ("CLIENT", "PATCH /services/data/{version}/composite/sobjects/{sobject}/{externalIdField}"),
        ("CLIENT", "POST /services/oauth2/token"),
        ("CLIENT", "GET"),
        ("CLIENT", "INSERT sync.projection"),
        ("CLIENT", "settle headwater.deliveries"),
        ("PRODUCER", "send event_log"),
        ("CONSUMER", "process headwater.events"),
        ("INTERNAL", "breaker open"),
    ],
)
def test_span_names_of_the_conventions_are_registered(kind: str, name: str) -> None:
    """Methods, templates, statements, queues and our own few."""
    assert names.is_registered_span(kind, name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("CLIENT", "GET /crm/v3/objects/contacts/4711"),
        ("CLIENT", "GET /crm/v3/objects/contacts/a@b.example"),
        ("CLIENT", "GET /search?email=a"),
        ("CONSUMER", "process contact 42"),
        ("PRODUCER", "process headwater.events"),
        ("INTERNAL", "something else"),
        ("UNSPECIFIED", "send event_log"),
        ("CLIENT", "SELECT event WHERE id = 1"),
    ],
)
def test_a_span_name_with_a_value_in_it_is_not_registered(kind: str, name: str) -> None:
    """Ids, addresses and queries are no part of a name, and a kind has its own names only."""
    assert not names.is_registered_span(kind, name)
