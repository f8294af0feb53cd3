"""What goes in and out of the routes of secrets; the value only goes in."""

import uuid
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints, field_validator

from backend.accounts.schemas import In, Out
from backend.secrets.models import SecretKind

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class SecretIn(In):
    """A value to keep. For an endpoint's key, `origin` is the only server it may be sent to."""

    kind: SecretKind
    value: SecretStr = Field(min_length=4, max_length=8192)
    origin: Annotated[str, Field(max_length=500)] | None = Field(
        None, description="Scheme, host and port of the endpoint, as in https://api.example.com."
    )

    @field_validator("value")
    @classmethod
    def _one_line(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if len(text) < 4 or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("a token or key is one word of ASCII characters, at least four")
        return SecretStr(text)

    @field_validator("origin")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        return origin(value) if value else None


class SecretOut(Out):
    """What is known of a secret. `hint` is the end of its value."""

    id: uuid.UUID
    name: str
    kind: SecretKind
    origin: str | None
    hint: str
    set_at: datetime
    set_by: str | None = None
    last_used_at: datetime | None


class RotationOut(Out):
    sealed_again: int


def origin(url: str) -> str:
    """`scheme://host:port` of an address, always with its port.  Raises ValueError for what is no web address."""
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError("an address like https://api.example.com is needed")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.lower()
    return f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
