"""Credentials from the environment, read once at start; never logged."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headwater.kernel.errors import InvalidInput


class EnvironmentSecrets:
    """Secrets in environment variables, each a JSON object of texts."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)

    def read(self, reference: str) -> Mapping[str, str]:
        """Return the secret that `env:NAME` names; see the port."""
        name = reference.removeprefix("env:")
        text = self._environ.get(name)
        if text is None:
            raise InvalidInput(
                f"credentials: environment variable {name} is not set", reason="NO_CREDENTIALS"
            )
        try:
            return msgspec.json.decode(text, type=dict[str, str])
        except msgspec.DecodeError as error:
            message = f"credentials: environment variable {name} must hold a JSON object of texts"
            raise InvalidInput(message, reason="BAD_CREDENTIALS") from error
