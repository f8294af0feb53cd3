"""Sealing: AES-256-GCM under keys that lie outside the database, bound to the row they were made for.

A sealed value is `version (1 byte) | key id (4) | nonce (12) | ciphertext and tag`. The key id says which of several
keys it was; the row's identity is authenticated with it, so that no sealed value opens in another row's place.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.errors import Unavailable
from backend.settings import Settings

FILE = "secret.key"
VERSION = b"\x01"
KEY_BYTES, ID_BYTES, NONCE_BYTES = 32, 4, 12
HOW = "Make one with: head -c 32 /dev/urandom | base64"


class BadSecretKey(Unavailable):
    title = "Secret key unusable"


class SecretUnreadable(Unavailable):
    title = "Secret cannot be opened"


def keys(settings: Settings) -> tuple[bytes, ...]:
    """The keys, the one that seals first: `PLUMBLINE_SECRET_KEY`, else the file of the data folder, which is made at
    first use.  Raises BadSecretKey."""
    given = settings.secret_key
    if given is not None:
        return _parse(given.get_secret_value(), "PLUMBLINE_SECRET_KEY")
    path = settings.data / FILE
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise BadSecretKey(
            f"The file {FILE} of the data folder may be read by others, so it is not used.",
            remedy=f"Run: chmod 600 {FILE}",
        )
    return _parse(path.read_text(encoding="ascii", errors="replace"), f"The file {FILE}")


def _make(path: Path) -> None:
    """Write a random key; of several programs that do so at once, the first one's stays, and it is never half there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = path.with_name(f".{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
    handle = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(own, path)
    except FileExistsError:
        pass
    finally:
        own.unlink()


def _parse(text: str, where: str) -> tuple[bytes, ...]:
    found = []
    for part in text.split(","):
        try:
            key = base64.b64decode(part.strip().replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise BadSecretKey(f"{where} must hold 32 bytes in base64, or several such keys with commas.", remedy=HOW)
        found.append(key)
    return tuple(found)


def seal(value: str, row: str, ring: Sequence[bytes]) -> bytes:
    """`value` for the row named `row`, under the first key."""
    head, nonce = VERSION + key_id(ring[0]), os.urandom(NONCE_BYTES)
    return head + nonce + AESGCM(ring[0]).encrypt(nonce, value.encode(), head + row.encode())


def unseal(sealed: bytes, row: str, ring: Sequence[bytes]) -> str:
    """What was sealed for `row`.  Raises SecretUnreadable when none of the keys is the one, or it was not for `row`."""
    head, rest = sealed[: 1 + ID_BYTES], sealed[1 + ID_BYTES :]
    for key in ring:
        if head == VERSION + key_id(key):
            try:
                return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], head + row.encode()).decode()
            except (InvalidTag, ValueError):
                raise SecretUnreadable(
                    "A stored secret was damaged, or put where it does not belong.", remedy="Set it again."
                ) from None
    raise SecretUnreadable(
        "A stored secret was encrypted with another key than this server has.",
        remedy="Give the server the old key as well (PLUMBLINE_SECRET_KEY or secret.key), or set the secret again.",
    )


def current(sealed: bytes, ring: Sequence[bytes]) -> bool:
    """Whether it is sealed under the first key."""
    return sealed[1 : 1 + ID_BYTES] == key_id(ring[0])


def derived(purpose: bytes, ring: Sequence[bytes]) -> bytes:
    """A key of its own for a purpose, from the oldest key: it stays while keys are changed, until that one is gone."""
    return hashlib.blake2b(purpose, key=ring[-1], digest_size=KEY_BYTES, person=b"plumbline").digest()


def key_id(key: bytes) -> bytes:
    """What tells keys apart and says nothing about them."""
    return hashlib.sha256(b"plumbline secret key" + key).digest()[:ID_BYTES]
