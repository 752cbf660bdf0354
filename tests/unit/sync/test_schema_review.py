"""The monthly review: what of a schema has changed, what the mappings do not fit, and versions that grow old."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.unit.sync.test_reconciling import DOCUMENT, plan

from headwater.connectors.base.describing import ApiVersions, FieldShape
from headwater.sync.domain.schema_review import (
    Finding,
    changes_of,
    misfits_of,
    pack_schema,
    unpack_schema,
    version_findings,
)

TEXT: Final = FieldShape("string")
SCHEMA: Final = dict.fromkeys(("Email", "FirstName", "LastName", "Phone", "Headwater_Id__c"), TEXT)
MAPPED: Final = frozenset(SCHEMA)


def changed(**shapes: FieldShape | None) -> list[Finding]:
    """Return what a review says when fields have changed; None: gone."""
    now = {name: shape for name, shape in {**SCHEMA, **shapes}.items() if shape is not None}
    return list(changes_of("Contact", SCHEMA, now, MAPPED))


def test_an_unchanged_schema_is_silent() -> None:
    """And so is one that is seen for the first time."""
    assert changed() == []
    assert list(changes_of("Contact", {}, {**SCHEMA, "New": replace(TEXT, required=True)}, MAPPED)) == []


def test_every_kind_of_change_of_a_mapped_field_is_told() -> None:
    """Gone, of another type, read-only; of others only that they are required now."""
    found = changed(
        Email=None, Phone=FieldShape("double"), LastName=replace(TEXT, writable=False),
        Region=replace(TEXT, required=True), Other=FieldShape("double"),
    )  # fmt: skip
    assert [(one.where, one.what) for one in found] == [
        ("Contact.Email", "gone"),
        ("Contact.LastName", "read-only"),
        ("Contact.Phone", "type"),
        ("Contact.Region", "required"),
    ]


def test_values_that_a_picklist_lost_or_gained_are_named() -> None:
    """Both ways."""
    before = {"Stage": FieldShape("picklist", ("New", "Won"))}
    now = {"Stage": FieldShape("picklist", ("New", "Lost"))}
    found = list(changes_of("Deal", before, now, frozenset({"Stage"})))
    assert [one.detail for one in found] == ["no longer offers Won", "offers Lost, too"]


def test_a_mapping_that_does_not_fit_is_told() -> None:
    """A field that is not there, one that cannot be written, and one that nothing fills."""
    now = {**SCHEMA, "Phone": replace(TEXT, writable=False), "Region": replace(TEXT, required=True)}
    del now["Email"]
    found = [(one.where, one.what) for one in misfits_of(DOCUMENT, plan("salesforce"), now)]
    assert found == [
        ("Contact.Email", "mapping"),
        ("Contact.Phone", "mapping"),
        ("Contact.Region", "required"),
    ]
    assert list(misfits_of(DOCUMENT, plan("salesforce"), SCHEMA)) == []


def test_a_version_that_ends_is_told_and_a_young_one_is_not() -> None:
    """Not served any more, the oldest, far behind; nothing where the vendor does not tell."""
    served = tuple(f"v{number}.0" for number in range(50, 65))
    told = {
        used: [one.detail for one in version_findings(ApiVersions(used, served))]
        for used in ("v49.0", "v50.0", "v55.0", "v61.0")
    }
    assert told["v49.0"] == ["v49.0 is not served: v50.0 is the oldest"]
    assert told["v50.0"] == ["v50.0 is 14 versions behind v64.0: move before it ends"]
    assert len(told["v55.0"]) == 1
    assert told["v61.0"] == []
    assert list(version_findings(None)) == []


def test_a_schema_is_the_same_after_a_report_kept_it() -> None:
    """Options, flags and all."""
    schema = {"Stage": FieldShape("picklist", ("a", "b"), required=True, writable=False)}
    assert unpack_schema(pack_schema(schema)) == schema
