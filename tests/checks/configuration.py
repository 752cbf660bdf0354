"""Prints the README's configuration table from the services' settings models; the README test compares."""

from __future__ import annotations

import ast
import inspect
import textwrap

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from headwater.identity.settings import IdentitySettings
from headwater.ingest.settings import IngestSettings
from headwater.kernel.security.settings import SecuritySettings
from headwater.kernel.settings import ServiceSettings
from headwater.sync.settings import SyncSettings

MODELS = {
    "all": ServiceSettings,
    "ingest": IngestSettings,
    "identity": IdentitySettings,
    "sync": SyncSettings,
}


def table() -> str:
    """Return the table, one row per variable."""
    rows = ["| variable | read by | default | meaning |", "|---|---|---|---|"]
    seen: set[str] = set()
    for reader, model in MODELS.items():
        notes: dict[str, str] = {}
        for kind in reversed(model.__mro__):
            if issubclass(kind, BaseModel) and kind is not BaseModel:
                notes |= _notes(kind)
        for name, item in sorted(
            model.model_fields.items(), key=lambda field: field[0] in SecuritySettings.model_fields
        ):
            variable = item.alias or name
            if variable not in seen:
                seen.add(variable)
                default = "required" if item.default is PydanticUndefined else f"`{item.default}`"
                rows.append(f"| `{variable}` | {reader} | {default} | {notes.get(name, '')} |")
    return "\n".join(rows)


def _notes(model: type[BaseModel]) -> dict[str, str]:
    """Return the text that stands below each field of the class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(tree, ast.ClassDef)
    notes: dict[str, str] = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(note))):
                notes[name] = " ".join(note.split())
            case _:
                pass
    return notes


if __name__ == "__main__":
    print(table())  # noqa: T201 - this is its job
