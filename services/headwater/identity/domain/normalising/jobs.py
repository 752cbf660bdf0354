"""Job titles. Pure.

Rules: `title.*`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from headwater.identity.domain.normalising.rules import Note, unheard
from headwater.identity.domain.normalising.text import CACHED_MAX, VALUE_CHARS_MAX, clean, fold

_WORDS: Final = {
    "acct": "account", "admin": "administrator", "asst": "assistant", "assoc": "associate", "avp": "assistant vice president",
    "ceo": "chief executive officer", "cfo": "chief financial officer", "chro": "chief human resources officer",
    "cio": "chief information officer", "ciso": "chief information security officer", "cmo": "chief marketing officer",
    "coo": "chief operating officer", "cpo": "chief product officer", "cro": "chief revenue officer",
    "cto": "chief technology officer", "dev": "developer", "dir": "director", "eng": "engineer", "engr": "engineer",
    "evp": "executive vice president", "exec": "executive", "hr": "human resources", "it": "information technology",
    "jr": "junior", "md": "managing director", "mfg": "manufacturing", "mgmt": "management", "mgr": "manager",
    "mktg": "marketing", "ops": "operations", "pres": "president", "qa": "quality assurance", "rep": "representative",
    "sr": "senior", "svp": "senior vice president", "tech": "technology", "vp": "vice president",
}  # fmt: skip
"""Words of job titles that are cut short, folded."""

_PLACEHOLDERS: Final = frozenset(
    [
        "contact", "customer", "employee", "lead", "n a", "na", "none", "not available", "not provided", "null", "other",
        "prospect", "staff", "tba", "tbd", "test", "title", "unbekannt", "undefined", "unknown", "x", "xx", "xxx",
    ]
)  # fmt: skip
"""Values of a title field that say no job: two people who have one have nothing in common by it."""


@lru_cache(CACHED_MAX)
def read_job_title(raw: str) -> str:
    """Return the folded title in full words; idempotent."""
    return job_title_of(raw)


def job_title_of(raw: str, note: Note = unheard) -> str:
    """Return what `read_job_title` does, and tell *note* which rules changed something."""
    folded = fold(clean(raw))
    if folded in _PLACEHOLDERS:
        note("title.placeholder", raw, "")
        return ""
    full = " ".join([_WORDS.get(word, word) for word in folded.split()])
    if full != folded:
        note("title.abbreviation", raw, full)
    return full if len(full) <= VALUE_CHARS_MAX else folded
