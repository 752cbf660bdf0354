"""Schemes that other packages bring."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.connectors.base.webhooks import (
    Delivery,
    SchemeSettings,
    Verified,
    load_scheme,
    scheme_names,
)

MODULE = """
from headwater.connectors.base.webhooks import Verified

class Scheme:
    def __init__(self, settings):
        self.settings = settings

    def verify(self, delivery, secrets, now_s):
        return Verified(self.settings.options["id"])
"""


def test_an_installed_package_brings_a_scheme_by_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by name in the group `headwater.webhook_schemes`; ours cannot be replaced that way."""
    (tmp_path / "acme_scheme.py").write_text(MODULE)
    installed = tmp_path / "acme_scheme-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scheme\nVersion: 1\n")
    points = (
        "[headwater.webhook_schemes]\nacme = acme_scheme:Scheme\nstandard-webhooks = acme_scheme:Scheme\n"
    )
    (installed / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    assert "acme" in scheme_names()
    scheme = load_scheme("acme")(SchemeSettings(options={"id": "m-1"}))
    assert scheme.verify(Delivery("POST", "/", (), b""), ["s"], 0.0) == Verified("m-1")
    assert load_scheme("standard-webhooks").__module__.startswith("headwater.")
