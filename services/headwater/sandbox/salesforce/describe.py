"""Owns what sObjects are: the shipped describes plus the custom fields that every org of the fleet has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, Refusal, route
from headwater.sandbox.salesforce.errors import nothing_there

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk

EXTERNAL_ID = "Headwater_Id__c"


@dataclass(frozen=True, slots=True)
class Field:
    """One field as the rules need it; `raw` is the vendor's whole description."""

    name: str
    label: str
    type: str
    length: int
    required: bool
    createable: bool
    updateable: bool
    nillable: bool
    restricted: bool
    options: tuple[str, ...]
    default: str | None
    reference_to: tuple[str, ...]
    relationship: str | None
    unique: bool
    lookup: bool
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sobject:
    """One object type: fields by name and, case aside, by lower-case name."""

    name: str
    prefix: str
    fields: Mapping[str, Field]
    folded: Mapping[str, Field]
    relationships: Mapping[str, Field]
    lookups: tuple[str, ...]
    """Fields by which records can be found."""
    unique: tuple[str, ...]
    """Fields whose values no two records share."""
    required: tuple[str, ...]
    """Fields without which no record is made."""
    born: Mapping[str, Any]
    """What a new record holds that was given nothing."""
    about: Mapping[str, Any]
    base: Mapping[str, Any]

    def field(self, name: str) -> Field | None:
        """A field by its name in any case."""
        return self.fields.get(name) or self.folded.get(name.lower())


@cache
def sobjects() -> Mapping[str, Sobject]:
    """Every sObject of an org by name."""
    text = (
        resources.files("headwater.sandbox.data")
        .joinpath("salesforce_describe.json")
        .read_text(encoding="utf-8")
    )
    kept = json.loads(text)
    return {
        name: _sobject(name, one["about"], one["fields"], kept["field_types"], kept["object"])
        for name, one in kept["sobjects"].items()
    }


def sobject(name: str) -> Sobject | None:
    """An sObject by its name in any case."""
    exact = sobjects().get(name)
    if exact is not None:
        return exact
    return next((one for known, one in sobjects().items() if known.lower() == name.lower()), None)


def sobject_in(params: Mapping[str, str]) -> Sobject:
    """The sObject that the path names, or the vendor's refusal."""
    found = sobject(params["kind"])
    if found is None:
        raise Refusal(nothing_there(), f"no sObject {params['kind']}")
    return found


def _sobject(
    name: str, about: dict[str, Any], slim: list[dict[str, Any]], types: dict[str, Any], base: dict[str, Any]
) -> Sobject:
    fields = [_field({**types[one["type"]], **one}) for one in (*slim, *_custom(types["string"]))]
    return Sobject(
        name,
        about["keyPrefix"],
        {one.name: one for one in fields},
        {one.name.lower(): one for one in fields},
        {one.relationship: one for one in fields if one.relationship is not None},
        tuple(one.name for one in fields if one.lookup),
        tuple(one.name for one in fields if one.unique),
        tuple(one.name for one in fields if one.required),
        {
            **{one.name: False for one in fields if one.type == "boolean"},
            **{one.name: one.default for one in fields if one.default is not None and not one.nillable},
        },
        about,
        base,
    )


def _custom(string: Mapping[str, Any]) -> list[dict[str, Any]]:
    def one(name: str, label: str, length: int, **more: Any) -> dict[str, Any]:
        size = {"length": length, "byteLength": length * 3, "custom": True, "nillable": True}
        return {
            **string,
            **size,
            "name": name,
            "label": label,
            "createable": True,
            "updateable": True,
            **more,
        }

    found_by = {"externalId": True, "unique": True, "idLookup": True}
    return [
        one(EXTERNAL_ID, "Headwater Id", 36, **found_by),
        one("Headwater_Status__c", "Headwater Status", 40),
        one("Headwater_Merged_Into__c", "Headwater Merged Into", 36),
    ]


def _field(raw: dict[str, Any]) -> Field:
    options = tuple(one["value"] for one in raw["picklistValues"] if one["active"])
    default = next((one["value"] for one in raw["picklistValues"] if one["defaultValue"]), None)
    must = (
        not raw["nillable"]
        and not raw["defaultedOnCreate"]
        and raw["createable"]
        and raw["type"] != "boolean"
    )
    return Field(
        name=raw["name"],
        label=raw["label"],
        type=raw["type"],
        length=raw["length"],
        required=must,
        createable=raw["createable"],
        updateable=raw["updateable"],
        nillable=raw["nillable"],
        restricted=raw["restrictedPicklist"],
        options=options,
        default=default,
        reference_to=tuple(raw["referenceTo"]),
        relationship=raw["relationshipName"],
        unique=raw["unique"],
        lookup=(raw["idLookup"] or raw["externalId"]) and raw["type"] != "id",
        raw=raw,
    )


def _urls(version: str, name: str) -> dict[str, str]:
    place = f"/services/data/{version}/sobjects/{name}"
    return {
        "compactLayouts": f"{place}/describe/compactLayouts",
        "rowTemplate": f"{place}/{{ID}}",
        "approvalLayouts": f"{place}/describe/approvalLayouts",
        "listviews": f"{place}/listviews",
        "describe": f"{place}/describe",
        "quickActions": f"{place}/quickActions",
        "layouts": f"{place}/describe/layouts",
        "sobject": place,
    }


_SUMMARY = [
    "activateable",
    "associateEntityType",
    "associateParentEntity",
    "createable",
    "custom",
    "customSetting",
    "deepCloneable",
    "deletable",
    "deprecatedAndHidden",
    "feedEnabled",
    "hasSubtypes",
    "isInterface",
    "isSubtype",
    "keyPrefix",
    "label",
    "labelPlural",
    "layoutable",
    "mergeable",
    "mruEnabled",
    "name",
    "queryable",
    "replicateable",
    "retrieveable",
    "searchable",
    "triggerable",
    "undeletable",
    "updateable",
]


def _head(one: Sobject) -> dict[str, Any]:
    about = one.about
    named = {
        "name": one.name,
        "keyPrefix": one.prefix,
        "label": about["label"],
        "labelPlural": about["labelPlural"],
    }
    return {**one.base, **about["flags"], **named}


def summary(one: Sobject, version: str) -> dict[str, Any]:
    """An sObject as the list of all tells it."""
    head = _head(one)
    return {**{key: head[key] for key in _SUMMARY}, "urls": _urls(version, one.name)}


def _describe(call: Call, _desk: Desk, params: Mapping[str, str]) -> Answer:
    one, version = sobject_in(params), params["version"]
    children = [_child(*row) for row in one.about["childRelationships"]]
    ui = {"uiDetailTemplate": "/{ID}", "uiEditTemplate": "/{ID}/e", "uiNewRecord": f"/{one.prefix}/e"}
    master = "012000000000000AAA"
    layout = f"/services/data/{version}/sobjects/{one.name}/describe/layouts/{master}"
    kind = {"active": True, "available": True, "defaultRecordTypeMapping": True, "developerName": "Master"}
    return Answer(
        200,
        {
            **_head(one),
            "actionOverrides": [],
            "childRelationships": children,
            "fields": [field.raw for field in one.fields.values()],
            "recordTypeInfos": [
                {**kind, "master": True, "name": "Master", "recordTypeId": master, "urls": {"layout": layout}}
            ],
            "supportedScopes": [{"label": f"All {one.about['labelPlural'].lower()}", "name": "everything"}],
            "urls": {
                **_urls(version, one.name),
                **{name: f"{call.base_url}{path}" for name, path in ui.items()},
                "defaultValues": f"/services/data/{version}/sobjects/{one.name}/defaultValues?recordTypeId&fields",
            },
        },
    )


def _child(name: str, field: str, relationship: str | None, cascade: bool) -> dict[str, Any]:  # noqa: FBT001
    return {
        "cascadeDelete": cascade,
        "childSObject": name,
        "deprecatedAndHidden": False,
        "field": field,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": relationship,
        "restrictedDelete": False,
    }


def _global(_call: Call, _desk: Desk, params: Mapping[str, str]) -> Answer:
    listed = [summary(one, params["version"]) for one in sobjects().values()]
    return Answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})


def _basic(_call: Call, _desk: Desk, params: Mapping[str, str]) -> Answer:
    return Answer(200, {"objectDescribe": summary(sobject_in(params), params["version"]), "recentItems": []})


_DATA = "/services/data/{version}/sobjects"

ROUTES = (
    route("GET", _DATA, "describe", _global),
    route("GET", f"{_DATA}/{{kind}}/describe", "describe", _describe),
    route("GET", f"{_DATA}/{{kind}}", "describe", _basic),
)
