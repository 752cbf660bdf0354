"""What must agree across the parts of a policy before it can be applied. Pure.

Each fault names the path, the value and the rule; all are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.policy.account import PUBSUB_VENDORS, Limits
from headwater.policy.conflicts import conflict_faults
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.policy.enriching import ROOT, enrichment_faults
from headwater.policy.expressions import expression_fault
from headwater.policy.faults import Fault, nearest
from headwater.policy.gating import gate_faults, withhold_faults
from headwater.policy.normalising.rules import RULES
from headwater.policy.objects import ObjectPolicy
from headwater.policy.outbound_mapping import OutboundObject
from headwater.policy.ownership import ownership_faults
from headwater.policy.pointing import records_read
from headwater.policy.reconciling import reconcile_faults
from headwater.policy.residency import residency_faults
from headwater.policy.routing_checks import routing_faults
from headwater.policy.scope_checks import scope_faults
from headwater.policy.systems import Webhook
from headwater.policy.timeline import activity_faults
from headwater.policy.words import EndpointClass

CLASSES: Final[tuple[EndpointClass, ...]] = get_args(EndpointClass)


def check(document: PolicyDocument) -> tuple[Fault, ...]:
    """Return every disagreement between the parts of *document*; empty when it can be applied.

    Names that nobody knows go first: what else is wrong may follow from them.
    """
    return tuple(sorted(_faults(document.declared), key=lambda item: not item.rule.startswith("known_")))


def _faults(document: PolicyDocument) -> tuple[Fault, ...]:
    return (
        *_reserved_faults(document),
        *_field_faults(document),
        *_inbound_faults(document),
        *_webhook_faults(document),
        *_cloud_event_faults(document),
        *routing_faults(document),
        *activity_faults(document),
        *reconcile_faults(document),
        *residency_faults(document),
        *_connection_faults(document),
        *(
            fault
            for name, item in document.connectors.items()
            for fault in _connector_faults(document, name, item)
        ),
        *scope_faults(document),
        *gate_faults(document),
        *enrichment_faults(document),
        *_enrichment_limit_faults(document),
    )


def _reserved_faults(document: PolicyDocument) -> Iterator[Fault]:
    if OPERATOR_SOURCE in document.systems:
        message = "is the source of operators' corrections: name the system differently"
        yield Fault(f"systems.{OPERATOR_SOURCE}", "reserved_name", message)


def _field_faults(document: PolicyDocument) -> Iterator[Fault]:
    for object_name, item in document.objects.items():
        for field_name, policy in item.fields.items():
            path = f"objects.{object_name}.fields.{field_name}"
            if policy.type == "picklist" and not policy.allowed:
                yield Fault(f"{path}.allowed", "picklist_values", "a picklist needs allowed values")
            if (policy.type == "reference") != (policy.reference is not None):
                yield Fault(
                    f"{path}.reference", "reference_object", "type reference and reference go together"
                )
        yield from ownership_faults(object_name, item, document.systems)
        yield from _narrowing_faults(object_name, item)
        yield from _normalise_faults(object_name, item)
        for group in item.require_any:
            for field_name in group:
                if field_name not in item.fields:
                    path = f"objects.{object_name}.require_any"
                    yield Fault(path, "known_field", f"{field_name!r} is not a field of {object_name}")


def _narrowing_faults(object_name: str, item: ObjectPolicy) -> Iterator[Fault]:
    """Yield what does not fit the types of the fields that it narrows."""
    for name, policy in item.fields.items():
        path = f"objects.{object_name}.fields.{name}"
        bounded = policy.min is not None or policy.max is not None
        if bounded and policy.type not in {"number", "integer", "date", "datetime"}:
            yield Fault(path, "bounded_type", "min and max go with numbers, dates and moments")
        if policy.min is not None and policy.max is not None and policy.min > policy.max:
            yield Fault(path, "bounds", f"min {policy.min:g} lies above max {policy.max:g}")
        wanted = "phone" if policy.format == "e164" else "text"
        if policy.format is not None and policy.type != wanted:
            yield Fault(f"{path}.format", "format_type", f"format {policy.format} goes with type {wanted}")
        if policy.refuse_personal_mail and policy.type != "email":
            yield Fault(f"{path}.refuse_personal_mail", "email_only", "goes with type email")
    for number, (name, country) in enumerate(item.consistent):
        path = f"objects.{object_name}.consistent.{number}"
        formats = [item.fields[field].format if field in item.fields else None for field in (name, country)]
        if formats[0] not in {"state", "postal"} or formats[1] != "country":
            yield Fault(
                path, "formats", "must be a field of format state or postal, and one of format country"
            )


def _normalise_faults(object_name: str, item: ObjectPolicy) -> Iterator[Fault]:
    """Yield rules that do not go with a field's type, or lack the country that they ask for."""
    for name, policy in item.fields.items():
        path = f"objects.{object_name}.fields.{name}"
        for rule in policy.normalise:
            types = RULES[rule].types
            if policy.type not in types:
                message = f"{rule} goes with type {' or '.join(types)}, not {policy.type}"
                yield Fault(f"{path}.normalise", "normalise_type", message)
        if len(set(policy.normalise)) < len(policy.normalise):
            yield Fault(f"{path}.normalise", "distinct", "a rule is named twice")
        if policy.aliases and policy.type not in {"text", "picklist"}:
            yield Fault(f"{path}.aliases", "normalise_type", f"aliases go with texts, not {policy.type}")
        for value in policy.aliases.values():
            if policy.allowed and value not in policy.allowed:
                message = f"{value!r} is not among the allowed values"
                yield Fault(f"{path}.aliases", "alias_allowed", message, nearest(value, policy.allowed))
        asks = any(RULES[rule].asks_country and rule != "e164" for rule in policy.normalise)
        if asks and policy.country_field is None and policy.default_country is None:
            message = "its rules ask for a country, and nothing names one"
            yield Fault(f"{path}.normalise", "normalise_country", message)
        named = policy.country_field
        if named is not None and (named not in item.fields or named == name):
            message = f"{named!r} is no other field of the object"
            yield Fault(f"{path}.country_field", "known_field", message, nearest(named, item.fields))


def _inbound_faults(document: PolicyDocument) -> Iterator[Fault]:
    for system_name, system in document.systems.items():
        for object_name, inbound in system.inbound.items():
            path = f"systems.{system_name}.inbound.{object_name}"
            known = document.objects.get(object_name)
            if known is None:
                yield Fault(path, "known_object", f"{object_name!r} is not under objects")
                continue
            if system.layer == "intelligence" and object_name == "activity":
                yield Fault(
                    path, "layer_direction", "the intelligence layer writes derived facts, not activities"
                )
            for source_field, reading in inbound.readings():
                yield from _expression_faults(f"{path}.fields.{source_field}.expr", reading.expr)
                if reading.field not in known.fields:
                    message = f"{reading.field!r} is not a field of {object_name}"
                    fix = nearest(reading.field, known.fields)
                    yield Fault(f"{path}.fields.{source_field}", "known_field", message, fix)


def _webhook_faults(document: PolicyDocument) -> Iterator[Fault]:
    for system_name, system in document.systems.items():
        webhook = system.webhook
        if webhook is None:
            continue
        path = f"systems.{system_name}.webhook"
        if webhook.notices:
            yield from _notice_faults(document, system_name, webhook)
        elif webhook.object is None or not webhook.external_id:
            missing = "external_id" if webhook.object else "object"
            message = f"{missing} is needed: what the events of {system_name} are about"
            yield Fault(f"{path}.{missing}", "needed", message)
        elif webhook.object not in system.inbound:
            message = (
                f"{system_name} has no inbound mapping of {webhook.object!r}: its events could not be read"
            )
            yield Fault(f"{path}.object", "mapped_object", message)
        if len(set(webhook.secrets)) < len(webhook.secrets):
            yield Fault(f"{path}.secrets", "distinct", "the same secret is named twice")
        if not webhook.event_time and webhook.event_time_format != "iso_datetime":
            message = "event_time_format says how event_time is written, and there is no event_time"
            yield Fault(f"{path}.event_time_format", "time_and_format", message)


_BODY_PARTS: Final = frozenset(Webhook.model_fields) - {
    "scheme",
    "options",
    "secrets",
    "replay_window_s",
    "notices",
}
"""What a policy says of a body whose form is the tenant's to tell."""


def _notice_faults(document: PolicyDocument, system_name: str, webhook: Webhook) -> Iterator[Fault]:
    path = f"systems.{system_name}.webhook"
    for name in sorted(webhook.model_fields_set & _BODY_PARTS):
        message = f"with notices, what the body holds is known: {name} would say nothing"
        yield Fault(f"{path}.{name}", "one_way", message)
    if not records_read(document, system_name):
        message = f"no enabled connector account of {system_name} reads records: nothing could be fetched"
        yield Fault(f"{path}.notices", "readable", message)


def _cloud_event_faults(document: PolicyDocument) -> Iterator[Fault]:
    owners: dict[str, str] = {}
    for system_name, system in document.systems.items():
        if system.cloud_events is None:
            continue
        path = f"systems.{system_name}.cloud_events"
        for source in system.cloud_events.sources:
            owner = owners.setdefault(source, system_name)
            if owner != system_name:
                yield Fault(f"{path}.sources", "one_system", f"{source!r} is a source of {owner} already")
        for name, meaning in system.cloud_events.types.items():
            if meaning.object not in system.inbound:
                message = f"{system_name} has no inbound mapping of {meaning.object!r}"
                yield Fault(f"{path}.types.{name}", "mapped_object", message)


def _connection_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Two accounts of one connection would use each other's access token."""
    first: dict[str, tuple[str, str, str]] = {}
    for name, connector in document.connectors.items():
        if not connector.credentials.startswith("vault:"):
            continue
        held = first.setdefault(connector.credentials, (name, connector.vendor, connector.base_url))
        if held[1:] != (connector.vendor, connector.base_url):
            message = f"{connector.credentials} is the connection of {held[0]}, another account"
            yield Fault(f"connectors.{name}.credentials", "one_account", message)


def _connector_faults(document: PolicyDocument, name: str, connector: ConnectorPolicy) -> Iterator[Fault]:
    path = f"connectors.{name}"
    system = document.systems.get(connector.system)
    if system is None:
        message = f"{connector.system!r} is not under systems"
        yield Fault(f"{path}.system", "known_system", message, nearest(connector.system, document.systems))
    elif system.layer != "record":
        yield Fault(f"{path}.system", "layer_direction", "only systems of the record layer are written to")
    yield from limit_faults(f"{path}.limits", connector.limits)
    yield from _poll_faults(document, path, connector)
    yield from _event_faults(path, connector)
    for object_name, targets in connector.objects.items():
        known = document.objects.get(object_name)
        if known is None:
            yield Fault(
                f"{path}.objects.{object_name}", "known_object", f"{object_name!r} is not under objects"
            )
            continue
        for number, target in enumerate(targets):
            target_path = f"{path}.objects.{object_name}.{number}"
            yield from _target_faults(target_path, target, {k: v.type for k, v in known.fields.items()})
            yield from conflict_faults(target_path, document, connector, object_name, target)
            yield from withhold_faults(target_path, document, object_name, target)


def limit_faults(path: str, limits: Limits) -> Iterator[Fault]:
    """Yield what makes limits impossible to keep, or to use."""
    windows = limits.all_windows
    if not windows:
        yield Fault(path, "some_window", "needs window or windows: without one nothing paces the calls")
    for number, window in enumerate(windows):
        place = f"{path}.window" if window is limits.window else f"{path}.windows"
        if (window.calls is None) == (window.tokens is None):
            yield Fault(place, "calls_or_tokens", f"window {number} needs calls or tokens, not both")
        dearest = max((limits.costs.get(item, 1) for item in (window.classes or CLASSES)), default=1)
        if window.tokens is not None and window.tokens < dearest:
            message = f"{window.tokens} tokens never let a call of {dearest} through"
            yield Fault(place, "window_holds_a_call", message)
    keys = [(item.calls is None, item.window_s, frozenset(item.classes)) for item in windows]
    if len(set(keys)) < len(keys):
        yield Fault(
            path, "distinct_windows", "two windows count the same over the same time: keep the smaller"
        )
    shares = limits.quota_shares
    if not shares.backfill <= shares.reconcile <= shares.retry <= shares.live:
        message = (
            "must not fall from backfill over reconcile and retry to live: what is urgent is slowed last"
        )
        yield Fault(f"{path}.quota_shares", "urgent_last", message)


def _enrichment_limit_faults(document: PolicyDocument) -> Iterator[Fault]:
    for name, provider in document.enrichment.providers.items() if document.enrichment else ():
        yield from limit_faults(f"{ROOT}.providers.{name}.limits", provider.limits)


def _poll_faults(document: PolicyDocument, path: str, connector: ConnectorPolicy) -> Iterator[Fault]:
    for object_name in connector.poll.objects:
        if object_name not in connector.objects:
            yield Fault(f"{path}.poll.objects", "known_object", f"{object_name!r} is not under objects")
    system = document.systems.get(connector.system)
    inbound = system.inbound if system is not None else {}
    for object_name in dict.fromkeys(name for name, _ in connector.polled()):
        if object_name not in inbound:
            message = (
                f"{connector.system} has no inbound mapping of {object_name!r}: its changes could not be read"
            )
            yield Fault(f"{path}.objects.{object_name}", "polled_object", message)


def _event_faults(path: str, connector: ConnectorPolicy) -> Iterator[Fault]:
    pubsub = connector.events.pubsub
    if pubsub is None:
        return
    if connector.vendor not in PUBSUB_VENDORS:
        message = f"{connector.vendor} has no event bus to listen to; {', '.join(PUBSUB_VENDORS)} has"
        yield Fault(f"{path}.events.pubsub", "listened_vendor", message)
    if not connector.polled():
        message = "no object's changes are read: nothing would come of what is told"
        yield Fault(f"{path}.events.pubsub", "listened_object", message)
    if len(set(pubsub.topics)) < len(pubsub.topics):
        yield Fault(f"{path}.events.pubsub.topics", "distinct_topics", "a topic stands here twice")


def _expression_faults(path: str, source: str) -> Iterator[Fault]:
    fault = expression_fault(source) if source else ""
    if fault:
        yield Fault(path, "expression", fault)


def _target_faults(path: str, target: OutboundObject, types: dict[str, str]) -> Iterator[Fault]:
    for crm_field, item in target.fields.items():
        yield from _expression_faults(f"{path}.fields.{crm_field}.expr", item.expr)
        if item.expr and item.transform != "text":
            message = f"has an expression and the transform {item.transform}"
            yield Fault(f"{path}.fields.{crm_field}.transform", "expression_alone", message)
        if item.field is None and item.default is None:
            yield Fault(f"{path}.fields.{crm_field}", "field_or_default", "needs field, default or both")
        elif item.field is not None and item.field not in types:
            message = f"{item.field!r} is not a field of the object"
            yield Fault(f"{path}.fields.{crm_field}", "known_field", message, nearest(item.field, types))
    for crm_name, field_name in target.references.items():
        if types.get(field_name) not in {"reference", "participants"}:
            message = f"{field_name!r} is not a reference or participants field"
            yield Fault(f"{path}.references.{crm_name}", "reference_field", message)
    for field_name in target.when:
        if field_name not in types:
            yield Fault(f"{path}.when", "known_field", f"{field_name!r} is not a field of the object")
