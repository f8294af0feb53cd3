"""The provider: its published addresses and keys, the authorization code flow with PKCE, and what an ID token says."""

import json
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ValidationError

from backend.errors import AppError
from backend.settings import Settings

log = structlog.get_logger()
SCOPE = "openid email profile"
# Signatures with the provider's private key only: "none" is nobody's, and HS256 anybody's who knows a public key.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
KEPT_SECONDS = 3600.0
KEYS_AGAIN_SECONDS = 60.0
TIMEOUT_SECONDS = 10.0
LEEWAY_SECONDS = 60
MOST_BYTES = 1 << 20
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Refused(AppError):
    """A sign-in that is not let in. `code` is what the sign-in page makes a sentence of."""

    status, title = 403, "Sign-in refused"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail, remedy="Start again from the sign-in page, or ask an admin.")
        self.code = code


class Configuration(BaseModel):
    """What the provider publishes of itself, as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]


@dataclass(frozen=True)
class Claims:
    """Who somebody is at the provider."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool


@dataclass(frozen=True)
class Ticket:
    """What comes back as it went out: `state` with the browser, `nonce` in the token. `verifier` follows the code."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Ticket":
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))


class Provider:
    """The provider that the settings name. Its configuration is kept for an hour."""

    def __init__(self, issuer: str, client_id: str, client_secret: str | None) -> None:
        self.issuer, self.client_id, self._client_secret = issuer, client_id, client_secret
        self._configuration: tuple[float, Configuration] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def address(self, ticket: Ticket, redirect_uri: str) -> str:
        """Where the browser is sent to sign in.  Raises Refused."""
        configuration = self._configured()
        with self._client(configuration, redirect_uri) as client:
            url, _ = client.create_authorization_url(
                configuration.authorization_endpoint,
                state=ticket.state,
                nonce=ticket.nonce,
                code_verifier=ticket.verifier,
            )
        return str(url)

    def look(self) -> None:
        """Ask for its configuration and its keys.  Raises Refused with what is wrong."""
        self._configured()
        try:
            self._key_set(KEPT_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError):
            raise Refused("away", "The sign-in provider's keys cannot be read.") from None

    def exchange(self, code: str, ticket: Ticket, redirect_uri: str) -> Claims:
        """Who the person is that came back with `code`.  Raises Refused."""
        configuration = self._configured()
        with self._client(configuration, redirect_uri) as client:
            try:
                answer = client.fetch_token(
                    configuration.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=ticket.verifier,
                )
            except (OAuthError, httpx2.HTTPError, ValueError) as error:
                log.warning("sign-in provider refuses a code", cause=type(error).__name__)
                raise Refused("token", "The sign-in provider did not confirm this sign-in.") from None
        return self._read(answer, ticket.nonce)

    def _read(self, answer: dict[str, Any], nonce: str) -> Claims:
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > MOST_BYTES:
            raise Refused("token", "The sign-in provider sent no ID token.")
        params = {"nonce": nonce, "client_id": self.client_id, "access_token": answer.get("access_token")}
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self.client_id},
        }
        try:
            found = self._verified(token)
            claims = CodeIDToken(found.claims, found.header, options, params)
            claims.validate(now=int(time.time()), leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as error:
            log.warning("ID token refused", cause=type(error).__name__)
            raise Refused("token", "What the sign-in provider sent could not be trusted.") from None
        subject, email = claims["sub"], claims.get("email")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or "\x00" in subject:
            raise Refused("token", "The sign-in provider did not say who this is.")
        email = email.strip().lower() if isinstance(email, str) else None
        return Claims(self.issuer, subject, email, claims.get("email_verified") is True)

    def _verified(self, token: str) -> jwt.Token:
        """The token, if one of the provider's keys signed it; a new key is looked for once a minute."""
        try:
            return jwt.decode(token, self._key_set(KEPT_SECONDS), algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            return jwt.decode(token, self._key_set(KEYS_AGAIN_SECONDS), algorithms=ALGORITHMS)

    def _key_set(self, at_most: float) -> KeySet:
        if self._keys is None or time.monotonic() - self._keys[0] > at_most:
            found = _get(self._configured().jwks_uri)
            self._keys = (time.monotonic(), KeySet.import_key_set(cast(Any, found)))
        return self._keys[1]

    def _configured(self) -> Configuration:
        if self._configuration is None or time.monotonic() - self._configuration[0] > KEPT_SECONDS:
            try:
                found = Configuration.model_validate(
                    _get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
                )
            except ValidationError:
                raise Refused("away", "The sign-in provider's configuration cannot be read.") from None
            if found.issuer != self.issuer:
                raise Refused(
                    "away", "The sign-in provider calls itself by another address than PLUMBLINE_OIDC_ISSUER."
                )
            for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
                _require_safe(url)
            self._configuration = (time.monotonic(), found)
        return self._configuration[1]

    def _client(self, configuration: Configuration, redirect_uri: str) -> Any:
        methods = configuration.token_endpoint_auth_methods_supported
        basic = "client_secret_basic" in methods or "client_secret_post" not in methods
        with_secret = "client_secret_basic" if basic else "client_secret_post"
        return OAuth2Client(
            self.client_id,
            self._client_secret,
            token_endpoint_auth_method=with_secret if self._client_secret else "none",
            scope=SCOPE,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
        )


def configured(settings: Settings) -> Provider | None:
    """The provider to sign in with, if there is one that may be asked."""
    if settings.offline or settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    secret = settings.oidc_client_secret
    return _provider(settings.oidc_issuer, settings.oidc_client_id, secret.get_secret_value() if secret else None)


@lru_cache(maxsize=4)
def _provider(issuer: str, client_id: str, client_secret: str | None) -> Provider:
    return Provider(issuer, client_id, client_secret)


def _require_safe(url: str) -> None:
    """Raises Refused for an address that others on the way could read; the machine itself is no way."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise Refused("away", "The sign-in provider's addresses must begin with https.")


def _get(url: str) -> Any:
    _require_safe(url)
    try:
        with (
            httpx2.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client,
            client.stream("GET", url, headers={"accept": "application/json"}) as answer,
        ):
            answer.raise_for_status()
            body = b""
            for block in answer.iter_bytes():
                body += block
                if len(body) > MOST_BYTES:
                    break  # what is cut off is no JSON
        return json.loads(body)
    except (httpx2.HTTPError, ValueError) as error:
        log.warning("sign-in provider away", cause=type(error).__name__)
        raise Refused("away", "The sign-in provider does not answer now.") from None
