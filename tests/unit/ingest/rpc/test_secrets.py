"""Webhook secrets of the vault: how long they are kept, and what counts while sync is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import pytest
from tests.unit.sync.virtual_time import run_virtually

from headwater.ingest.rpc.secrets import AWAY_S, FRESH_S, KEPT_S, WebhookSecrets
from headwater.ingest.secrets import EnvironmentSecrets
from headwater.kernel.errors import Unavailable

HOOK = "vault:shop-hook"


class Scripted(WebhookSecrets):
    """Answers of sync by a script; None: it is away."""

    def __init__(self, *answers: Mapping[str, str] | None) -> None:
        super().__init__(EnvironmentSecrets({"SHOP": " plain "}), None, timeout_s=1.0)
        self.answers: Sequence[Mapping[str, str] | None] = answers
        self.asked: list[float] = []

    async def _ask(self, tenant_id: str, source: str) -> Mapping[str, str]:  # noqa: ARG002 - the real one's
        self.asked.append(anyio.current_time())
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if answer is None:
            raise Unavailable("away", reason="WEBHOOK_SECRETS_AWAY")
        return answer


def read_at(secrets: Scripted, *times_s: float) -> list[str | None]:
    """Return what is read at these times."""

    async def main() -> list[str | None]:
        found = []
        for time_s in times_s:
            await anyio.sleep_until(time_s)
            found.append(await secrets.read("acme", "shop", HOOK))
        return found

    result: list[str | None] = run_virtually(main)
    return result


def test_a_secret_is_asked_for_once_a_minute() -> None:
    """And a changed one counts from then on."""
    secrets = Scripted({HOOK: "one"}, {HOOK: "two"})
    assert read_at(secrets, 0, FRESH_S - 1, FRESH_S + 1) == ["one", "one", "two"]
    assert secrets.asked == [0, FRESH_S + 1]


def test_one_that_is_missing_is_asked_for_again_soon() -> None:
    """Somebody is about to store it."""
    secrets = Scripted({HOOK: ""}, {HOOK: "one"})
    assert read_at(secrets, 0, AWAY_S - 1, AWAY_S + 1) == [None, None, "one"]


def test_while_sync_is_away_the_known_one_counts_for_an_hour() -> None:
    """Asked again every few seconds, not at every webhook; after the hour nothing is believed."""
    secrets = Scripted({HOOK: "one"}, None)
    assert read_at(secrets, 0, FRESH_S + 1, FRESH_S + 2, FRESH_S + AWAY_S + 2) == ["one"] * 4
    assert secrets.asked == [0, FRESH_S + 1, FRESH_S + AWAY_S + 2]
    with pytest.raises(Unavailable):
        read_at(Scripted({HOOK: "one"}, None), 0, KEPT_S + 1)


def test_one_that_was_never_known_is_not_made_up() -> None:
    """The sender is told to come again."""
    with pytest.raises(Unavailable):
        read_at(Scripted(None), 0)


def test_the_environment_s_need_no_sync() -> None:
    """As before."""

    async def main() -> str | None:
        return await Scripted(None).read("acme", "shop", "env:SHOP")

    assert run_virtually(main) == "plain"


def test_nothing_of_them_is_shown() -> None:
    """Not by a careless log line."""
    secrets = Scripted({HOOK: "hush"})
    read_at(secrets, 0)
    assert "hush" not in repr(secrets) + repr(secrets._known)  # noqa: SLF001 - what a traceback would show
