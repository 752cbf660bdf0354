"""Lines between processes: which versions of TLS, which certificates, and that they change without a restart."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
import pytest
from tests.integration.kernel.security.serving import pause, serving, shake
from tests.integration.security.credentials import SERVER, TENANT, Credentials
from tests.integration.security.world import open_world

from headwater.kernel.errors import StartRefused
from headwater.kernel.rpc import open_channel
from headwater.kernel.rpc.secured import LOOK_S, SecuredChannel
from headwater.kernel.security.authority import AUTHORITY, Wanted
from headwater.kernel.security.calling import ChannelSecurity

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("latest", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
async def test_no_line_is_older_than_tls_1_2(tmp_path: Path, latest: ssl.TLSVersion) -> None:
    """Neither gRPC's nor HTTP's; 1.2 is, and 1.3 is what is agreed on when nobody insists."""
    made = Credentials(tmp_path)
    made.token()
    async with open_world(made.settings) as ports:
        for port, alpn in ((ports.rpc["ingest"], "h2"), (ports.http, "http/1.1")):
            with pytest.raises(OSError, match=r"(?i)ssl|version|reset|alert"):
                await shake(port, made, latest=latest, alpn=alpn)
            assert (await shake(port, made, latest=ssl.TLSVersion.TLSv1_2, alpn=alpn))[0] == "TLSv1.2"
            assert (await shake(port, made, alpn=alpn))[0] == "TLSv1.3"


async def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    """At the next handshake, on both doors; connections that are open stay."""
    made = Credentials(tmp_path)
    text, _ = made.token()
    async with open_world(made.settings) as ports:
        doors = ((ports.rpc["ingest"], "h2"), (ports.http, "http/1.1"))
        before = {await _serial(port, made, alpn) for port, alpn in doors}
        renewed = made.authority.renew(SERVER, made.now)
        await ports.security.refresh()
        assert {await _serial(port, made, alpn) for port, alpn in doors} == {renewed.serial}
        assert before != {renewed.serial}
    assert text


async def test_a_pair_that_is_half_written_is_not_taken_up(tmp_path: Path) -> None:
    """The old one is shown until both belong together."""
    made = Credentials(tmp_path)
    made.token()
    certificate, key = made.authority.certificate_path(SERVER), made.authority.key_path(SERVER)
    async with open_world(made.settings) as ports:
        port = ports.rpc["ingest"]
        before = await _serial(port, made)
        old = certificate.read_bytes()
        renewed = made.authority.renew(SERVER, made.now)
        fresh = certificate.read_bytes()
        certificate.write_bytes(old)
        await ports.security.refresh()
        assert await _serial(port, made) == before
        certificate.write_bytes(fresh)
        await ports.security.refresh()
        assert await _serial(port, made) == renewed.serial
    assert key.exists()


async def test_a_caller_takes_up_its_new_certificate(tmp_path: Path) -> None:
    """Calls after the change show it; the channel stays the caller's."""
    made = Credentials(tmp_path)
    own = {}
    for name in ("old", "new"):
        made.authority.issue(Wanted(name, ("operator",), (TENANT,)), made.now)
        paths = (made.authority.certificate_path(name), made.authority.key_path(name))
        own[name] = tuple(path.read_bytes() for path in paths)
    cert, key = tmp_path / "own.pem", tmp_path / "own-key.pem"
    _write(cert, key, own["old"])
    security = made.trusting(cert=str(cert), key=str(key))
    now = [0.0]
    async with serving(made.settings_of_certificates) as seen:
        address = f"127.0.0.1:{seen.port}"
        channel = SecuredChannel(address, security, lambda given: _opened(address, given), lambda: now[0])
        async with channel:
            await pause(channel)  # type: ignore[arg-type]
            _write(cert, key, own["new"])
            await pause(channel)  # type: ignore[arg-type]
            now[0] = LOOK_S
            await pause(channel)  # type: ignore[arg-type]
    names = [principal.subject.rpartition("/")[2] for principal in seen.principals if principal is not None]
    assert names == ["old", "old", "new"]


async def test_a_caller_takes_up_its_new_token(tmp_path: Path) -> None:
    """From its file, which is read again when it changes."""
    made = Credentials(tmp_path)
    file, now = tmp_path / "token", [0.0]
    texts = [made.token() for _ in range(2)]
    _private(file, texts[0][0])
    async with serving(made.settings) as seen:
        address, security = f"127.0.0.1:{seen.port}", made.trusting(token_file=str(file))
        channel = SecuredChannel(address, security, lambda given: _opened(address, given), lambda: now[0])
        async with channel:
            await pause(channel)  # type: ignore[arg-type]
            _private(file, texts[1][0])
            now[0] = LOOK_S
            await pause(channel)  # type: ignore[arg-type]
    subjects = [principal.subject for principal in seen.principals if principal is not None]
    assert subjects == [entry.principal.subject for _, entry in texts]


async def test_a_token_does_not_leave_this_machine_in_the_clear() -> None:
    """On loopback it may: who listens there could read its file."""
    with pytest.raises(StartRefused, match="in the clear"):
        open_channel("ingest.internal:7401", security=ChannelSecurity(token="hwt_0_0"))
    await open_channel("127.0.0.1:1", security=ChannelSecurity(token="hwt_0_0")).close()


async def test_a_server_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    """A caller hangs up before it shows its token."""
    made = Credentials(tmp_path)
    text, _ = made.token()
    foreign = ChannelSecurity(ca=str(made.foreign.certificate_path(AUTHORITY)), token=text)
    async with serving(made.settings) as seen:
        async with open_channel(f"127.0.0.1:{seen.port}", retries=False, security=foreign) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await pause(channel)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not seen.requests


async def test_reflection_and_credentials_do_not_go_together(tmp_path: Path) -> None:
    """It would tell everybody what only some may know."""
    made = Credentials(tmp_path)
    made.token()
    with pytest.raises(StartRefused, match="HEADWATER_REFLECTION"):
        async with serving(made.settings, reflection=True):
            pass


async def _serial(port: int, made: Credentials, alpn: str = "h2") -> str:
    return (await shake(port, made, alpn=alpn))[1]


def _opened(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    assert credentials is not None
    return grpc.aio.secure_channel(address, credentials)


def _write(cert: Path, key: Path, pair: tuple[bytes, ...]) -> None:
    cert.write_bytes(pair[0])
    key.write_bytes(pair[1])
    key.chmod(0o600)


def _private(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="ascii")
    path.chmod(0o600)
