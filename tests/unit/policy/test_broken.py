"""Broken policies, one fault each: told with line, column, path, rule and what to do; never a stack trace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headwater.cli.policy_files import fault_lines, read_policy, starter_text
from headwater.policy import faults
from headwater.policy.faults import FIXES
from headwater.policy.loading import PolicyRefused, load_parts, load_policy

FILES = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
EXPECTED = re.compile(r"# expected: (\d+):(\d+) (\w+) ?(.*)\n")


def test_there_are_forty() -> None:
    """As many as were asked for, at the least."""
    assert len(FILES) >= 40


@pytest.mark.parametrize("file", FILES, ids=lambda item: item.stem)
def test_a_broken_policy_points_to_its_fault(file: Path) -> None:
    """The first fault is the one that was put in; all have a place in the file and a way to mend them."""
    stated = EXPECTED.match(file.read_text())
    assert stated is not None
    line, column, rule, path = stated.groups()
    with pytest.raises(PolicyRefused) as caught:
        read_policy(file)
    found = caught.value.faults
    first = found[0]
    assert (first.line, first.column, first.rule, first.path) == (int(line), int(column), rule, path)
    assert all(item.message and item.fix and item.line and item.column for item in found)
    assert f"{file}:{line}:{column}: " in fault_lines(file, found)[0]


def test_every_rule_has_its_fix() -> None:
    """What a check can find, the table can mend; and it mends nothing that no check finds."""
    folder = Path(faults.__file__).parent
    text = "".join(item.read_text() for item in folder.glob("*.py") if item.name != "faults.py")
    found = set(re.findall(r'Fault\(\s*[^,()]+,\s*"(\w+)"', text))
    assert len(found) > 30
    assert {rule for rule in found if rule not in FIXES} == {"model_type", "files"}
    assert {rule for rule in FIXES if f'"{rule}"' not in text} == set()


def test_the_starter_is_applicable_and_its_first_fault_is_found() -> None:
    """What `headwater policy init` writes can be applied; misspell an owner in it, and the nearest name is told."""
    text = starter_text()
    load_policy(text)
    with pytest.raises(PolicyRefused) as caught:
        load_policy(text.replace("owners: [gmail], rule: max", "owners: [gmial], rule: max"))
    (fault,) = caught.value.faults
    assert (fault.rule, fault.fix) == ("known_system", "did you mean 'gmail'?")


def test_a_folder_is_one_document() -> None:
    """Its files' parts are laid together; a fault names its file, and what two say is told."""
    text = starter_text()
    at = text.index("objects:\n  contact:\n    granted")
    parts = {"systems.yaml": text[:at], "rest.yaml": text[at:]}
    read = load_parts(parts)
    assert read.document == load_policy(text) == load_policy(read.text)
    with pytest.raises(PolicyRefused) as caught:
        load_parts({**parts, "more.yaml": 'version: "2"\n'})
    assert [(item.file, item.line, item.rule) for item in caught.value.faults] == [
        ("more.yaml", 1, "one_place")
    ]
    with pytest.raises(PolicyRefused) as caught:
        load_parts({**parts, "systems.yaml": text[:at].replace("layer: intelligence", "layer: record")})
    assert {(item.file, item.rule) for item in caught.value.faults} == {("rest.yaml", "granted_needless")}
