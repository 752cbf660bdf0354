"""`headwater policy` without any service: init, check of a file and of a folder, the schema for editors."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from headwater.cli.commands.policy import app
from headwater.cli.policy_files import read_policy, schema, starter_text
from headwater.policy.loading import load_policy
from headwater.policy.words import Part


def type_words(*words: str) -> tuple[int, str]:
    """Type a command; return exit code and stdout."""
    done = CliRunner().invoke(app, [*words], env=dict(os.environ))
    return done.exit_code, done.stdout


def test_init_writes_a_policy_that_check_takes(tmp_path: Path) -> None:
    """And never over a file that is there."""
    file = tmp_path / "policy.yaml"
    assert type_words("init", str(file))[0] == 0
    code, said = type_words("check", str(file))
    assert (code, "can be applied" in said) == (0, True)
    file.write_text("mine")
    assert type_words("init", str(file))[0] == 1
    assert file.read_text() == "mine"


def test_the_connectors_that_are_commented_out_can_be_used_as_they_are(tmp_path: Path) -> None:
    """Without their `# ` the blocks of Pipedrive and Dynamics are checked like everything else."""
    lines = starter_text().splitlines(keepends=True)
    told = [re.sub("^  # (?=[ a-z]*[-a-z_]+:| *- )", "  ", line) for line in lines]
    document = load_policy("".join(told))
    assert {"pipedrive", "dynamics"} <= set(document.connectors)
    assert document.connectors["pipedrive"].limits.costs["search"] == 20
    file = tmp_path / "policy.yaml"
    file.write_text("".join(told))
    assert type_words("check", str(file))[0] == 0


def test_check_points_to_file_line_and_column(tmp_path: Path) -> None:
    """One line a fault as editors read them, then its fix; with --json the same as data."""
    file = tmp_path / "policy.yaml"
    file.write_text(starter_text().replace("participants: create", "particpants: create"))
    code, said = type_words("check", str(file))
    line = 1 + file.read_text()[: file.read_text().index("particpants")].count("\n")
    assert code == 1
    assert f"{file}:{line}:5: systems.gmail.particpants:" in said.replace("\n", "")
    assert "fix: did you mean 'participants'?" in said
    code, said = type_words("check", str(file), "--json")
    (fault,) = json.loads(said)["faults"]
    assert (code, fault["line"], fault["column"], fault["fix"]) == (
        1,
        line,
        5,
        "did you mean 'participants'?",
    )


def test_a_folder_is_read_as_one_policy(tmp_path: Path) -> None:
    """Whatever is YAML in it, however deep; a folder without any says so."""
    text = starter_text()
    at = text.index("objects:\n  contact:\n    granted")
    (tmp_path / "parts").mkdir()
    (tmp_path / "systems.yaml").write_text(text[:at])
    (tmp_path / "parts" / "rest.yml").write_text(text[at:])
    (tmp_path / "notes.txt").write_text("no part")
    assert read_policy(tmp_path).document == load_policy(text)
    assert type_words("check", str(tmp_path))[0] == 0
    (tmp_path / "parts" / "rest.yml").write_text(text[at:].replace("rule: max", "rule: maxi"))
    code, said = type_words("check", str(tmp_path))
    assert code == 1
    assert f"{tmp_path / 'parts' / 'rest.yml'}:" in said.replace("\n", "")
    (tmp_path / "empty").mkdir()
    assert type_words("check", str(tmp_path / "empty"))[0] == 1


def _conforms(value: Any, shape: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Tell whether *value* has a shape of the schema, as far as editors go by it: names, kinds and choices."""
    if "$ref" in shape:
        return _conforms(value, whole["$defs"][shape["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in shape:
        return any(_conforms(value, one, whole) for one in shape["anyOf"])
    if "enum" in shape or "const" in shape:
        return value in shape.get("enum", [shape.get("const")])
    kinds: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "null": type(None),
        "boolean": bool,
    }
    if not isinstance(value, kinds.get(shape.get("type", ""), object)):
        return False
    if isinstance(value, list):
        return all(_conforms(item, shape.get("items", {}), whole) for item in value)
    if not isinstance(value, dict):
        return True
    known, more = shape.get("properties", {}), shape.get("additionalProperties", True)
    more = next(iter(shape.get("patternProperties", {}).values()), more)
    return set(shape.get("required", ())) <= set(value) and all(
        _conforms(item, known[name], whole) if name in known else more is not False and _conforms(
            item, more if isinstance(more, dict) else {}, whole
        )
        for name, item in value.items()
    )  # fmt: skip


def test_the_schema_takes_the_starter_and_knows_every_setting() -> None:
    """Short forms too; a misspelt setting does not conform; every part's settings have a hint or a plain name."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only here

    shape = schema()
    tree = YAML(typ="safe").load(starter_text())
    assert _conforms(tree, shape, shape)
    tree["systems"]["gmail"]["particpants"] = tree["systems"]["gmail"].pop("participants")
    assert not _conforms(tree, shape, shape)
    assert {part.__name__ for part in Part.__subclasses__()} - {"Deciding", "_Staged"} <= {
        *shape["$defs"],
        "PolicyDocument",
    }
    assert "strongest first" in shape["$defs"]["FieldPolicy"]["properties"]["owners"]["description"]
