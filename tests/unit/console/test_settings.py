"""Settings of the console process."""

from pathlib import Path

import pytest

from headwater.console.settings import ConsoleSettings
from headwater.kernel.errors import StartRefused


def test_settings_come_from_the_environment_with_defaults() -> None:
    """What is set is taken, the rest has its default."""
    found = ConsoleSettings.from_environ(
        {"HEADWATER_CONSOLE_DATA_DIR": "/d", "HEADWATER_CONSOLE_HTTP_PORT": "0"},
    )
    assert found == ConsoleSettings(Path("/d"), http_port=0)


def test_every_fault_is_named_at_once() -> None:
    """A start that is refused says all that is wrong."""
    environ = {"HEADWATER_CONSOLE_OTLP_PORT": "70000", "HEADWATER_CONSOLE_STORE_BYTES_MAX": "x"}
    with pytest.raises(StartRefused) as refused:
        ConsoleSettings.from_environ(environ)
    for part in ("DATA_DIR is not set", "OTLP_PORT='70000'", "STORE_BYTES_MAX='x'"):
        assert part in str(refused.value)


def test_the_services_and_what_is_shown_to_them_are_those_of_every_process() -> None:
    """Addresses, credential and tenant have the names that the command line knows; what is not set is not guessed."""
    environ = {
        "HEADWATER_CONSOLE_DATA_DIR": "/d",
        "HEADWATER_INGEST_ADDRESS": "127.0.0.1:7401",
        "HEADWATER_SYNC_ADDRESS": " ",
        "HEADWATER_TOKEN": "t",
        "HEADWATER_TENANT": "acme",
    }
    found = ConsoleSettings.from_environ(environ)
    assert (found.services, found.tenant_id) == ({"ingest": "127.0.0.1:7401"}, "acme")
    assert found.security.token == "t"
    assert "'t'" not in repr(found)
