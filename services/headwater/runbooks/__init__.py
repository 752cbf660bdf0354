"""What to do about an alert or an error: a page of Markdown for each, in `pages/`. Reads them; decides nothing.

A page has business impact, cause, check, fix and whom to call. Errors of one class share the class's page.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Final

PARTS: Final = ("Business impact", "Cause", "Check", "Fix", "Escalate")
"""Headings of a page, in order."""
_ENDING: Final = ".md"


@dataclass(frozen=True, slots=True)
class Runbook:
    """One page.

    Args:
        code: name of the alert, class of error, or reason.
        summary: its first paragraph.
        text: the whole page, as Markdown.
    """

    code: str
    summary: str
    text: str

    @property
    def parts(self) -> dict[str, str]:
        """Return the text under each heading."""
        _, *sections = self.text.split("\n## ")
        split = (section.partition("\n") for section in sections)
        return {title.strip(): body.strip() for title, _, body in split}


def codes() -> tuple[str, ...]:
    """Return what there is a page about."""
    pages = resources.files(__name__).joinpath("pages").iterdir()
    return tuple(sorted(page.name.removesuffix(_ENDING) for page in pages if page.name.endswith(_ENDING)))


def find_runbook(code: str) -> Runbook | None:
    """Return the page about *code*; None where there is none."""
    if code not in codes():
        return None
    text = resources.files(__name__).joinpath("pages", code + _ENDING).read_text(encoding="utf-8")
    return Runbook(code, text.split("\n\n", 2)[1], text)
