"""Signatures after Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, one for each secret that is valid."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """A random secret, as receivers are given it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(message_id: str, timestamp: int, body: bytes, valid: Sequence[str]) -> dict[str, str]:
    """The headers that prove a message, `timestamp` in seconds since 1970; the newest secret's signature first."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(message_id, timestamp, body, secret) for secret in valid),
    }


def signature(message_id: str, timestamp: int, body: bytes, secret: str) -> str:
    """The signature by one secret.  Raises ValueError when it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not a secret of a webhook") from error
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()
