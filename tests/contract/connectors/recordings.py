"""Recorded exchanges with real vendors, read from the shared specs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from headwater.connectors.base.http import Answer


class _Loader(yaml.SafeLoader):
    """Safe YAML plus the one tag of these files."""


def _binary(loader: _Loader, node: yaml.ScalarNode) -> bytes:
    return loader.construct_yaml_binary(node)


_Loader.add_constructor("!binary", _binary)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded call."""

    method: str
    path: str
    query: str
    request_body: str
    answer: Answer

    def sent(self) -> Any:
        """Return the decoded request body."""
        return json.loads(self.request_body)


@cache
def specs() -> Path:
    """Return the shared specs beside the repository.

    Raises:
        FileNotFoundError: they are not there; contract tests do not skip.
    """
    stated = os.environ.get("HEADWATER_SHARED")
    places = [Path(stated)] if stated else [parent / "shared" for parent in Path(__file__).resolve().parents]
    for place in places:
        if (place / "specs").is_dir():
            return place / "specs"
    raise FileNotFoundError("no shared specs beside the repository; set HEADWATER_SHARED")


def hubspot(name: str) -> list[Exchange]:
    """Return the exchanges of one HubSpot recording."""
    text = (specs() / "hubspot" / "recordings" / f"{name}.yml").read_text(encoding="utf-8")
    return [_vcr(one) for one in yaml.load(text, _Loader)["http_interactions"]]  # noqa: S506 - a safe loader


def salesforce(name: str) -> list[Exchange]:
    """Return the exchanges of one Salesforce recording, its included files left out."""
    document = _salesforce_document(name)
    items = document.get("interactions", [document])
    return [_cassette(one) for one in items if "request" in one]


def describe(sobject: str) -> Any:
    """Return the recorded describe of an sObject."""
    return salesforce(f"GET_sobjects_{sobject}_describe")[0].answer.json()


def all_salesforce() -> Iterator[Exchange]:
    """Yield every recorded Salesforce exchange but those of the old Bulk API, whose bodies are templates."""
    for path in sorted((specs() / "salesforce" / "recordings").glob("*.yaml")):
        if not path.stem.endswith("__bulk"):
            yield from salesforce(path.stem)


@cache
def _salesforce_document(name: str) -> Any:
    text = (specs() / "salesforce" / "recordings" / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader


def _vcr(one: Any) -> Exchange:
    url = urlsplit(one["request"]["uri"])
    response = one["response"]
    headers = {name.lower(): values[0] for name, values in response["headers"].items()}
    answer = Answer(response["status"]["code"], headers, _bytes(response["body"]["string"]))
    return Exchange(
        one["request"]["method"].upper(), url.path, url.query, one["request"]["body"]["string"], answer
    )


def _cassette(one: Any) -> Exchange:
    url = urlsplit(one["request"]["uri"])
    response = one["response"]
    answer = Answer(response["status"]["code"], {}, _bytes(response["body"]["string"]))
    return Exchange(one["request"]["method"], url.path, url.query, one["request"]["body"] or "", answer)


def _bytes(body: str | bytes) -> bytes:
    return body if isinstance(body, bytes) else body.encode()
