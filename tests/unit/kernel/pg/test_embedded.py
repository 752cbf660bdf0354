"""Where the embedded server puts things."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headwater.kernel.pg.embedded import (
    SOCKET_PATH_BYTES_MAX,
    EmbeddedPostgres,
    default_data_dir,
    socket_directory,
)
from headwater.kernel.pg.errors import EmbeddedServerFault
from headwater.kernel.pg.postmaster import Postmaster, parse_postmaster_file

PID_FILE = ["4711", "/d/pgdata", "1763724000", "5432", "/d/socket", "", "  123 4", "ready   "]


def test_data_lives_where_xdg_says() -> None:
    """XDG_DATA_HOME goes before the home."""
    assert default_data_dir({"XDG_DATA_HOME": "/x"}, Path("/home/u")) == Path("/x/headwater")


def test_data_of_root_lives_outside_its_home() -> None:
    """The account that the server then runs as cannot enter root's home."""
    assert default_data_dir({}, Path("/root"), root=True) == Path("/var/lib/headwater")


@pytest.mark.parametrize("length", range(1, 200, 7))
def test_socket_path_always_fits(length: int) -> None:
    """However long the directory's path, the socket's name fits the system's limit."""
    path = socket_directory(Path("/" + "d" * length)) / ".s.PGSQL.65535"
    assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX


def test_long_paths_do_not_share_a_socket_directory() -> None:
    """Two servers with long paths get two directories."""
    first, second = (socket_directory(Path("/" + "d" * 120 + end)) for end in "ab")
    assert first != second


def test_postmaster_file_is_read() -> None:
    """Process id, port, socket directory and state come from the file."""
    assert parse_postmaster_file(PID_FILE) == Postmaster(4711, 5432, Path("/d/socket"), ready=True)


@pytest.mark.parametrize("lines", [[], [""], PID_FILE[:2], ["x", *PID_FILE[1:]]])
def test_postmaster_file_is_ignored_when_half_written(lines: list[str]) -> None:
    """Postgres writes the file in steps; a reader in between sees no server yet."""
    assert parse_postmaster_file(lines) is None


def test_server_without_its_status_line_is_not_ready() -> None:
    """A server that is starting is seen but not ready."""
    found = parse_postmaster_file(PID_FILE[:7])
    assert found is not None
    assert not found.ready


def test_stop_does_nothing_when_there_is_no_server(tmp_path: Path) -> None:
    """Stopping what never ran is no error and leaves nothing behind."""
    EmbeddedPostgres(tmp_path / "none").stop()
    assert not (tmp_path / "none").exists()


def test_loopback_url_is_refused_when_no_server_runs(tmp_path: Path) -> None:
    """There is no URL of a server that does not run."""
    with pytest.raises(EmbeddedServerFault, match="no server"):
        EmbeddedPostgres(tmp_path, loopback_port=6000).loopback_url()
