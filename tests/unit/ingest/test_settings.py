"""Settings: from the environment, every fault at once, secrets masked."""

from __future__ import annotations

import os

import pytest

from headwater.ingest.settings import IngestSettings
from headwater.kernel.errors import StartRefused
from headwater.kernel.settings import read_settings

URL = "postgresql://hw:s3cret@127.0.0.1:5432/hw"


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared variables by their own names, ingest's under its prefix."""
    monkeypatch.setenv("HEADWATER_DATABASE_URL", URL)
    monkeypatch.setenv("HEADWATER_INGEST_ADDRESS", "127.0.0.1:7501")
    monkeypatch.setenv("HEADWATER_INGEST_BUFFER_ROWS", "7")
    monkeypatch.setenv("HEADWATER_DURABILITY_OVERRIDE", "true")
    settings = read_settings(IngestSettings, os.environ)
    assert (settings.address, settings.buffer_rows) == ("127.0.0.1:7501", 7)
    assert settings.durability_override
    assert settings.sync_address == "127.0.0.1:7403"


def test_the_password_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings that are logged at start hold no secret."""
    monkeypatch.setenv("HEADWATER_DATABASE_URL", URL)
    assert "s3cret" not in str(read_settings(IngestSettings, os.environ).printed())


def test_every_fault_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With variable, value and rule, save the database's URL, which may hold a password."""
    monkeypatch.setenv("HEADWATER_DATABASE_URL", "mysql://hw:s3cret@x/y")
    monkeypatch.setenv("HEADWATER_INGEST_FLUSHERS", "99")
    monkeypatch.setenv("HEADWATER_LOG_LEVEL", "loud")
    with pytest.raises(StartRefused) as caught:
        read_settings(IngestSettings, os.environ)
    text = str(caught.value)
    assert "HEADWATER_INGEST_FLUSHERS" in text
    assert "'99'" in text
    assert "HEADWATER_LOG_LEVEL" in text
    assert "HEADWATER_DATABASE_URL" in text
    assert "s3cret" not in text
