"""Ports, state and the lock of a data directory."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

import pytest

from headwater.cli.stack.layout import Layout
from headwater.cli.stack.ports import PURPOSES, keep_ports
from headwater.cli.stack.processes import ProcessId
from headwater.cli.stack.services import ORDER, Surroundings, plan_services
from headwater.cli.stack.state import Child, StackState, read_state, write_state
from headwater.cli.stack.supervisor import StackSettings, Supervisor
from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import Shutdown


def test_ports_are_kept_and_only_a_taken_one_is_replaced(tmp_path: Path) -> None:
    """Addresses stay what they were, save for the port that another program took."""
    first = keep_ports(tmp_path / "ports.json")
    assert first == keep_ports(tmp_path / "ports.json")
    assert len(set(first.values())) == len(PURPOSES)
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["sync"]))
        other.listen()
        second = keep_ports(tmp_path / "ports.json")
    assert {purpose for purpose in PURPOSES if first[purpose] != second[purpose]} == {"sync"}


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    """And its supervisor counts as running while that very process lives."""
    me = ProcessId.of(os.getpid())
    state = StackState(me, {"ingest": 7401}, "postgresql://x", children={"ingest": Child(me, ready=True)})
    write_state(tmp_path / "stack.json", state)
    assert read_state(tmp_path / "stack.json") == state
    assert state.running
    assert not StackState(ProcessId(me.pid, me.start_time_s - 99), {}).running
    assert read_state(tmp_path / "other.json") is None


def test_a_file_that_is_no_state_is_refused_in_words(tmp_path: Path) -> None:
    """Nothing is ended on the word of a file that cannot be read."""
    (tmp_path / "stack.json").write_text("{}")
    with pytest.raises(StartRefused, match="no state file"):
        read_state(tmp_path / "stack.json")


@pytest.mark.anyio
async def test_a_second_supervisor_of_one_directory_is_refused(tmp_path: Path) -> None:
    """The lock decides, whatever the state file says."""
    layout = Layout(tmp_path)
    with layout.lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StartRefused, match="another stack"):
            await Supervisor(StackSettings(layout), os.environ).run(Shutdown())


def test_each_process_is_given_what_it_needs_and_no_more(tmp_path: Path) -> None:
    """Only the services have the database, only sync has the CRMs' credentials."""
    ports = dict.fromkeys(PURPOSES, 1)
    plan = plan_services({}, Surroundings(Layout(tmp_path), ports, "postgresql://x", "run-1", 1.0))
    assert tuple(service.name for service in plan) == ORDER
    with_database = {service.name for service in plan if "HEADWATER_DATABASE_URL" in service.environment}
    with_secrets = {service.name for service in plan if "HEADWATER_SECRET_HUBSPOT" in service.environment}
    assert with_database == {"ingest", "identity", "sync"}
    assert with_secrets == {"sync"}
