"""Signing in by way of a provider: only those whom it names, whom somebody expects, and in the browser that asked."""

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import select, text

from backend.accounts import service as accounts
from backend.accounts.models import Identity, User
from backend.db import transaction
from backend.deps import COOKIE
from backend.identities import provider as providers
from backend.identities import service
from backend.identities.routes import FLOW_COOKIE, inside
from backend.settings import Settings, get_settings
from tests.backend.identities.provider import CLIENT, KEY, PERSON, SECRET, Provider, serving
from tests.conftest import Client

OTHER_KEY = RSAKey.generate_key(2048, {"kid": "two"})
START, CALLBACK = "/api/v1/sso/start", "/api/v1/sso/callback"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with serving() as provider:
        yield provider


@pytest.fixture
def configure(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Sets settings of signing in, by name without prefix."""

    def change(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"PLUMBLINE_OIDC_{name.upper()}", value)
        get_settings.cache_clear()
        providers._provider.cache_clear()

    yield change
    monkeypatch.undo()
    get_settings.cache_clear()
    providers._provider.cache_clear()


@pytest.fixture
def provider(running: Provider, configure: Callable[..., None]) -> Provider:
    """The provider as it should be, and the settings that name it."""
    running.__init__(running.issuer)  # type: ignore[misc]
    configure(issuer=running.issuer, client_id=CLIENT, client_secret=SECRET, name="Example")
    return running


@pytest.fixture
def mira(clean: None) -> User:
    """Somebody who is expected from the provider."""
    with transaction() as session:
        user, _ = accounts.add(session, "mira")
        service.expect(session, user, "mira@example.org")
    return user


def begin(client: Client, **query: Any) -> str:
    answer = client.get(START, params=query, follow_redirects=False)
    assert answer.status_code == 303
    return str(answer.headers["location"])


def come_back(client: Client, **query: str) -> str:
    answer = client.get(CALLBACK, params=query, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def walk(client: Client, provider: Provider, **query: Any) -> str:
    """The whole way; where it ends."""
    return come_back(client, **provider.authorize(begin(client, **query)))


def who(client: Client) -> str | None:
    answer = client.get("/api/v1/me")
    return str(answer.json()["name"]) if answer.status_code == 200 else None


def test_not_set_up(anonymous: Client) -> None:
    """Without a provider there is no such way in, and the sign-in page learns that."""
    assert anonymous.get("/api/v1/sso").json() == {"name": None}
    assert anonymous.get(START, follow_redirects=False).status_code == 404
    assert anonymous.get(CALLBACK, follow_redirects=False).status_code == 404


def test_whole_way(anonymous: Client, provider: Provider, mira: User) -> None:
    """Who is expected comes in, the first time by email, from then on by subject whatever the email is."""
    assert anonymous.get("/api/v1/sso").json() == {"name": "Example"}
    assert walk(anonymous, provider, next="/runs?x=1#y") == "/runs?x=1#y"
    assert who(anonymous) == "mira"
    provider.claims = {"email": "married@example.org"}
    assert walk(anonymous, provider) == "/"
    assert who(anonymous) == "mira"
    with transaction() as session:
        row = session.scalars(select(Identity)).one()
        assert (row.issuer, row.subject, row.email) == (provider.issuer, PERSON["sub"], "married@example.org")
        told = session.execute(text("SELECT action, noun FROM audit_events WHERE user_id IS NOT NULL")).all()
    assert [tuple(row) for row in told] == [("open", "sign-in")] * 2


def test_what_the_browser_carries(anonymous: Client, provider: Provider, mira: User) -> None:
    """The address holds a challenge and no secret; cookies are out of the reach of scripts and other sites."""
    answer = anonymous.get(START, follow_redirects=False)
    query = {key: values[0] for key, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert query["scope"] == "openid email profile"
    assert query["redirect_uri"] == "http://localhost/api/v1/sso/callback"
    assert min(len(query[name]) for name in ("state", "nonce", "code_challenge")) >= 32
    assert SECRET not in answer.headers["location"]
    flow = answer.headers["set-cookie"].lower()
    assert "httponly" in flow
    assert "samesite=lax" in flow
    assert query["nonce"] not in flow
    assert answer.headers["cache-control"] == "no-store"
    assert "form-action 'self'" in answer.headers["content-security-policy"]
    back = anonymous.get(CALLBACK, params=provider.authorize(answer.headers["location"]), follow_redirects=False)
    assert f"{COOKIE}=" in back.headers["set-cookie"]
    assert f'{FLOW_COOKIE}=""' in back.headers["set-cookie"]


def test_wrong_claims(anonymous: Client, provider: Provider, mira: User) -> None:
    """A token for another sign-in, client or provider, or of another time, lets nobody in."""
    for claims in (
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "http://127.0.0.1:1"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": [CLIENT, "another-client"], "azp": "another-client"},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"iat": 99_999_999_999},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
    ):
        provider.claims = claims
        assert walk(anonymous, provider) == "/sign-in?refused=token", claims
    assert who(anonymous) is None


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token that no library would make: unsigned, or signed with what everybody knows."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(secret, b".".join(parts), "sha256") if secret else b""
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def test_forged(anonymous: Client, provider: Provider, mira: User) -> None:
    """A token that the provider's key has not signed is worth nothing, and what is no token even less."""

    def signed(kid: str) -> Callable[[dict[str, Any]], str]:
        return lambda claims: jwt.encode({"alg": "RS256", "kid": kid}, claims, OTHER_KEY, algorithms=["RS256"])

    forgeries: list[Callable[[dict[str, Any]], str]] = [
        lambda claims: by_hand({"alg": "none"}, claims, b""),
        lambda claims: by_hand({"alg": "HS256", "kid": "one"}, claims, KEY.as_pem(private=False)),
        signed("one"),
        signed("two"),
        *((lambda _, token=token: token) for token in (" ", "a.b.c", "x" * 2_000_000, "e30.e30.")),
    ]
    for number, forge in enumerate(forgeries):
        provider.forge = forge
        assert walk(anonymous, provider) == "/sign-in?refused=token", number
    assert who(anonymous) is None


def test_unverified(anonymous: Client, provider: Provider, mira: User) -> None:
    """An email that the provider has not verified opens nobody's account."""
    for claims in (
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email": None},
        {"email": "mira"},
        {"email": ["mira@example.org"]},
    ):
        provider.claims = claims
        assert walk(anonymous, provider) == "/sign-in?refused=email", claims
    assert who(anonymous) is None


def test_state(anonymous: Client, make_client: Callable[..., Client], provider: Provider, mira: User) -> None:
    """What comes back is believed only in the browser that set out, with its own state, and once."""
    brought = provider.authorize(begin(anonymous))
    other = make_client(None)
    assert come_back(other, **brought) == "/sign-in?refused=state"
    begin(other)
    assert come_back(other, **brought) == "/sign-in?refused=state"
    for state in ("", "x", "é"):
        begin(anonymous)
        assert come_back(anonymous, code=brought["code"], state=state) == "/sign-in?refused=state"
    anonymous.cookies.set(FLOW_COOKIE, "00ff", domain="localhost.local", path="/api/v1/sso")
    assert come_back(anonymous, **brought) == "/sign-in?refused=state"
    anonymous.cookies.clear()
    brought = provider.authorize(begin(anonymous))
    assert come_back(anonymous, **brought) == "/"
    assert come_back(anonymous, **brought) == "/sign-in?refused=state"


def test_too_late(anonymous: Client, provider: Provider, mira: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes after setting out it is too late, even with the cookie kept."""
    brought = provider.authorize(begin(anonymous))
    monkeypatch.setattr("backend.identities.routes.time.time", lambda: 99_999_999_999)

    assert come_back(anonymous, **brought) == "/sign-in?refused=state"


def test_session_fixation(anonymous: Client, provider: Provider, mira: User) -> None:
    """A session that was in the browser before is another one afterwards, and ended."""
    with transaction() as session:
        attacker, _ = accounts.add(session, "mallory")
        planted = accounts.open_session(session, attacker)
    anonymous.cookies.set(COOKIE, planted, domain="localhost.local")
    walk(anonymous, provider)
    assert who(anonymous) == "mira"
    assert anonymous.cookies[COOKIE] != planted
    with transaction() as session:
        assert accounts.by_cookie(session, planted) is None


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.org",
        "//evil.org",
        "/\\evil.org",
        "\\\\evil.org",
        "javascript:alert(1)",
        "/\t/evil.org",
        "/\n/evil.org",
        "",
        "evil.org",
        "/sign-in",
        "/api/v1/me",
        "///x",
    ],
)
def test_open_redirect(address: str) -> None:
    """Nobody is sent elsewhere after signing in."""
    assert inside(address) == "/"


def test_nobody_expected(anonymous: Client, provider: Provider, configure: Callable[..., None]) -> None:
    """By default nobody gets an account by coming; where the settings allow it they do, in no project."""
    assert walk(anonymous, provider) == "/sign-in?refused=unknown"
    configure(accounts="created")
    assert walk(anonymous, provider) == "/"
    me = anonymous.get("/api/v1/me").json()
    assert (me["name"], me["admin"], me["projects"]) == ("mira@example.org", False, [])


def test_name_is_not_identity(anonymous: Client, provider: Provider, configure: Callable[..., None]) -> None:
    """An account that happens to be called like an email is not given to whoever has that email."""
    configure(accounts="created")
    with transaction() as session:
        accounts.add(session, "mira@example.org", admin=True)

    assert walk(anonymous, provider) == "/sign-in?refused=name"


def test_domains(anonymous: Client, provider: Provider, mira: User, configure: Callable[..., None]) -> None:
    """Only the domains that are allowed, whole and not as an ending."""
    configure(domains="ample.org,example.com")
    assert walk(anonymous, provider) == "/sign-in?refused=domain"
    configure(domains="Example.org")
    assert walk(anonymous, provider) == "/"


def test_closed_account(anonymous: Client, provider: Provider, mira: User) -> None:
    """A closed account stays closed, and is not bound to anybody by the attempt."""
    with transaction() as session:
        session.get_one(User, mira.id).active = False

    assert walk(anonymous, provider) == "/sign-in?refused=closed"
    with transaction() as session:
        assert session.scalars(select(Identity.subject)).all() == [None]


def test_cancelled_and_away(anonymous: Client, provider: Provider, mira: User, configure: Callable[..., None]) -> None:
    """Somebody who turns back there, and a provider that is away or not itself, lead to the sign-in page again."""
    state = provider.authorize(begin(anonymous))["state"]
    assert come_back(anonymous, error="access_denied", state=state) == "/sign-in?refused=cancelled"
    begin(anonymous)
    assert come_back(anonymous, error="access_denied", state="x") == "/sign-in?refused=state"
    for change in ({"issuer": "https://other.example"}, {"jwks_uri": "http://example.org/keys"}, {"token_endpoint": 7}):
        configure()
        provider.configuration = change
        assert begin(anonymous) == "/sign-in?refused=away"
    provider.configuration, provider.away = {}, True
    assert begin(anonymous) == "/sign-in?refused=away"


def test_wrong_code(anonymous: Client, provider: Provider, mira: User) -> None:
    """A made-up code buys nothing."""
    brought = provider.authorize(begin(anonymous))

    assert come_back(anonymous, code="made-up", state=brought["state"]) == "/sign-in?refused=token"


def test_new_key(anonymous: Client, provider: Provider, mira: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that changes its keys is believed under the new ones, without a restart."""
    walk(anonymous, provider)
    monkeypatch.setattr(providers, "KEYS_AGAIN_SECONDS", 0.0)
    provider.key = OTHER_KEY
    provider.header = {"alg": "RS256", "kid": "two"}

    assert walk(anonymous, provider) == "/"
    assert provider.requests.count("/keys") >= 2


def test_connect(researcher: Client, make_client: Callable[..., Client], provider: Provider) -> None:
    """Who is signed in connects the own identity; nobody else's account takes it afterwards."""
    assert walk(researcher, provider, link=True) == "/account"
    found = researcher.get("/api/v1/me/identities").json()["items"]
    assert [one["email"] for one in found] == ["mira@example.org"]
    other = make_client()
    assert walk(other, provider, link=True) == "/sign-in?refused=taken"
    visitor = make_client(None)
    walk(visitor, provider)
    assert who(visitor) == researcher.user.name
    assert other.delete(f"/api/v1/me/identities/{found[0]['id']}").status_code == 404
    assert researcher.delete(f"/api/v1/me/identities/{found[0]['id']}").status_code == 204
    assert walk(visitor, provider) == "/sign-in?refused=unknown"


def test_who_expects(anonymous: Client, researcher: Client, admin: Client, mira: User) -> None:
    """Admins say who is expected; two people are not expected under one email."""
    path = f"/api/v1/users/{mira.id}/identities"
    for client, status in ((anonymous, 401), (researcher, 403)):
        assert client.get(path).status_code == status
        assert client.post(path, json={"email": "x@example.org"}).status_code == status
        assert client.delete(f"{path}/{mira.id}").status_code == status
    assert anonymous.get("/api/v1/me/identities").status_code == 401
    assert admin.post(path, json={"email": "no email"}).status_code == 422
    assert admin.post(path, json={"email": "MIRA@example.org "}).status_code == 409
    made = admin.post(path, json={"email": "second@example.org"})
    assert made.status_code == 201
    assert len(admin.get(path).json()["items"]) == 2
    assert admin.delete(f"{path}/{made.json()['id']}").status_code == 204


def test_token_of_the_test_is_a_token(provider: Provider) -> None:
    """The provider of these tests signs for real."""
    token = jwt.encode(provider.header, {"sub": "x"}, provider.key, algorithms=["RS256"])

    assert jwt.decode(token, provider.key, algorithms=["RS256"]).claims == {"sub": "x"}
