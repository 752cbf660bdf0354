"""Webhook secrets from the environment, read once at start; never logged."""

from __future__ import annotations

from collections.abc import Mapping


class EnvironmentSecrets:
    """Secrets in environment variables, each one text."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)

    def __repr__(self) -> str:
        return "EnvironmentSecrets()"

    async def read(self, tenant_id: str, source: str, reference: str) -> str | None:  # noqa: ARG002 - the port's
        """Return the secret that `env:NAME` names; see the port."""
        return self._environ.get(reference.removeprefix("env:"), "").strip() or None
