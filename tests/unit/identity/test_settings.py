"""Settings: defaults, every fault at once, no password in sight."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from headwater.identity.settings import IdentitySettings
from headwater.kernel.errors import StartRefused
from headwater.kernel.settings import read_settings

URL = "postgresql://me:secret@db.example:5432/hw"


def test_the_defaults_are_those_of_one_machine() -> None:
    """Only the database has to be named."""
    found = read_settings(IdentitySettings, {"HEADWATER_DATABASE_URL": URL})
    assert (found.address, found.ingest_address) == ("127.0.0.1:7402", "127.0.0.1:7401")
    assert (found.merge, found.key_rows_max) == ("auto", 40)


def test_every_fault_is_named_at_once() -> None:
    """Variable, value and rule of each, without the database's password."""
    with pytest.raises(StartRefused) as refused:
        read_settings(
            IdentitySettings,
            {
                "HEADWATER_DATABASE_URL": "mysql://me:secret@x",
                "HEADWATER_IDENTITY_ADDRESS": "nowhere",
                "HEADWATER_IDENTITY_POOL_SIZE_MAX": "0",
            },
        )
    for part in ("HEADWATER_DATABASE_URL", "HEADWATER_IDENTITY_ADDRESS='nowhere'", "POOL_SIZE_MAX='0'"):
        assert part in refused.value.message
    assert "secret" not in refused.value.message


def test_settings_that_contradict_each_other_are_refused() -> None:
    """A neighbourhood that cannot hold one entity could never be grouped whole."""
    with pytest.raises(StartRefused, match="NEAR_MAX"):
        read_settings(
            IdentitySettings,
            {
                "HEADWATER_DATABASE_URL": URL,
                "HEADWATER_IDENTITY_NEAR_MAX": "60",
                "HEADWATER_IDENTITY_ENTITY_RECORDS_MAX": "200",
            },
        )


def test_settings_are_printed_without_password_and_stay_as_they_are() -> None:
    """Masked, and frozen."""
    found = read_settings(IdentitySettings, {"HEADWATER_DATABASE_URL": URL})
    assert "secret" not in str(found.printed()) + repr(found)
    with pytest.raises(ValidationError):
        found.key_rows_max = 60  # type: ignore[misc]
