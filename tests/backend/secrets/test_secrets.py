"""Secrets go in, are used, and never come out: not by a route, an error, a log or a look into the database."""

import base64
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from backend.accounts.models import Role
from backend.db import transaction
from backend.projects.models import Project
from backend.secrets import seal, service
from backend.secrets.models import Secret
from backend.settings import Settings, get_settings
from tests.conftest import Client

VALUE = "hub-value-0123456789-WXYZ"
HUB = {"kind": "hub", "value": VALUE}
KEY = {"kind": "endpoint", "value": "endpoint-key-0123456789", "origin": "https://api.example.com/v1"}
URL = "https://api.example.com/v1/chat/completions"


@pytest.fixture
def owner(make_client: Callable[..., Client]) -> Client:
    return make_client(Role.owner)


@pytest.fixture
def project(owner: Client) -> Project:
    with transaction() as session:
        return session.scalars(select(Project)).one()


@pytest.fixture
def rekey(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Gives the server other keys."""

    def give(keys: str) -> None:
        monkeypatch.setenv("PLUMBLINE_SECRET_KEY", keys)
        get_settings.cache_clear()

    yield give
    monkeypatch.undo()
    get_settings.cache_clear()


def fresh_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def put(client: Client, name: str = "hub", body: dict[str, Any] = HUB) -> dict[str, Any]:
    answer = client.put(f"/api/v1/secrets/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def audited(action: str) -> list[dict[str, Any]]:
    with transaction() as session:
        found = session.execute(text("SELECT detail FROM audit_events WHERE action = :action"), {"action": action})
        return [row.detail for row in found]


def test_signed_out(anonymous: Client) -> None:
    """Nobody reads or writes secrets without a session."""
    assert anonymous.get("/api/v1/secrets").status_code == 401
    assert anonymous.put("/api/v1/secrets/hub", json=HUB).status_code == 401
    assert anonymous.delete("/api/v1/secrets/hub").status_code == 401
    assert anonymous.post("/api/v1/secrets-rotation").status_code == 401


def test_roles(annotator: Client, researcher: Client, owner: Client) -> None:
    """Annotators see nothing, researchers see names, owners set and delete; only admins of the instance rotate."""
    put(owner)
    assert annotator.get("/api/v1/secrets").status_code == 403
    assert [one["name"] for one in researcher.get("/api/v1/secrets").json()["items"]] == ["hub"]
    for client in (annotator, researcher):
        assert client.put("/api/v1/secrets/hub", json=HUB).status_code == 403
        assert client.delete("/api/v1/secrets/hub").status_code == 403
    assert owner.post("/api/v1/secrets-rotation").status_code == 403
    assert owner.delete("/api/v1/secrets/hub").status_code == 204
    assert owner.delete("/api/v1/secrets/hub").status_code == 404


def test_never_out(owner: Client, project: Project, settings: Settings) -> None:
    """Neither the answers, nor the table, nor the audit log hold the value; its last four characters tell which."""
    answers = [put(owner), owner.get("/api/v1/secrets").json()]
    assert answers[0]["hint"] == "WXYZ"
    with transaction() as session:
        assert service.reveal(session, project.id, "hub") == VALUE
    answers.append(owner.get("/api/v1/secrets").json())
    assert answers[2]["items"][0]["last_used_at"]
    with transaction() as session:
        stored = session.execute(text("SELECT secrets::text FROM secrets")).scalar_one()
        stored += str(session.execute(text("SELECT jsonb_agg(detail) FROM audit_events")).scalar_one())
    assert VALUE not in str(answers) + stored
    assert VALUE.encode().hex() not in stored
    assert audited("set") == [{"name": "hub", "kind": "hub", "for": "hub"}]
    assert audited("use") == [{"name": "hub", "for": "hub"}]
    assert stat.S_IMODE((settings.data / seal.FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "hub", "value": f"{VALUE}\r\nX-Evil: 1"}, "value"),
        ({"kind": "hub", "value": f"{VALUE} é"}, "value"),
        ({"kind": "hub", "value": f"{VALUE}" * 1000}, "value"),
        ({"kind": "hub", "value": [VALUE]}, "value"),
        ({"kind": "other", "value": VALUE}, "kind"),
        ({"kind": "hub", "value": VALUE, "origin": "https://api.example.com"}, "origin"),
        ({"kind": "endpoint", "value": VALUE}, "origin"),
        ({"kind": "endpoint", "value": VALUE, "origin": "file:///etc"}, "origin"),
        ({"kind": "endpoint", "value": VALUE, "origin": "https://me@api.example.com"}, "origin"),
        ({"kind": "endpoint", "value": VALUE, "origin": "https://api.example.com:99999"}, "origin"),
        ({"kind": "hub", "value": VALUE, "extra": VALUE}, "extra"),
    ],
)
def test_bad_bodies(owner: Client, body: dict[str, Any], field: str) -> None:
    """What cannot be a token is refused at its field, and the refusal does not repeat it."""
    answer = owner.put("/api/v1/secrets/hub", json=body)

    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert VALUE not in answer.text


@pytest.mark.parametrize(("name", "status"), [("..%2f", 404), ("Hub", 422), ("a b", 422), ("x" * 65, 422), ("-", 422)])
def test_bad_names(owner: Client, name: str, status: int) -> None:
    """Names are short words; nothing else gets past the address, and who writes another is told what they are."""
    assert owner.put(f"/api/v1/secrets/{name}", json=HUB).status_code == status


def test_another_project(owner: Client, project: Project) -> None:
    """A project's secrets are no other project's: neither listed nor revealed there."""
    put(owner)
    with transaction() as session:
        other = Project(name="Other")
        session.add(other)
        session.flush()
        with pytest.raises(service.SecretMissing):
            service.reveal(session, other.id, "hub")
        assert service.listed(session, other) == []
    answer = owner.get("/api/v1/secrets", headers={"plumbline-project": str(other.id)})
    assert answer.status_code in {403, 404}


def test_only_to_its_own_server(owner: Client, project: Project) -> None:
    """A key goes to the endpoint it was set for; nobody has it sent to a server of their own."""
    put(owner, "judge", KEY)
    put(owner)
    with transaction() as session:
        assert service.reveal(session, project.id, "judge", url=URL) == KEY["value"]
        for name, url in (
            ("judge", "https://api.example.com.evil.org/v1"),
            ("judge", "http://api.example.com/v1"),
            ("judge", "https://api.example.com:8443/v1"),
            ("judge", "https://api.example.com:x/"),
            ("judge", None),
            ("hub", URL),
        ):
            with pytest.raises(service.SecretNotForThat):
                service.reveal(session, project.id, name, url=url)


def test_ciphertexts_cannot_be_swapped(owner: Client, project: Project) -> None:
    """Whoever can write into the table cannot make a project use a value as something it was not set as."""
    put(owner, "one", HUB)
    put(owner, "two", {"kind": "hub", "value": "another-value-0123456789"})
    put(owner, "judge", KEY)
    with transaction() as session:
        session.execute(
            text("UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'one') WHERE name = 'two'")
        )
        session.execute(text("UPDATE secrets SET origin = 'https://evil.org:443' WHERE name = 'judge'"))
    with transaction() as session, pytest.raises(seal.SecretUnreadable):
        service.reveal(session, project.id, "two")
    with transaction() as session, pytest.raises(seal.SecretUnreadable):
        service.reveal(session, project.id, "judge", url="https://evil.org/")
    with transaction() as session:
        assert service.reveal(session, project.id, "one") == VALUE


def test_wrong_key(owner: Client, project: Project, rekey: Callable[[str], None]) -> None:
    """A server with another key says so and keeps the secret as it is; with the old key it opens again."""
    old, new = fresh_key(), fresh_key()
    rekey(old)
    put(owner)
    rekey(new)
    with transaction() as session, pytest.raises(seal.SecretUnreadable, match="another key"):
        service.reveal(session, project.id, "hub")
    rekey(f"{new},{old}")
    with transaction() as session:
        assert service.reveal(session, project.id, "hub") == VALUE


def test_rotation(owner: Client, admin: Client, project: Project, rekey: Callable[[str], None]) -> None:
    """After a rotation the old key can be taken away; one that lacks a key changes nothing at all."""
    old, new = fresh_key(), fresh_key()
    rekey(old)
    put(owner)
    put(owner, "judge", KEY)
    rekey(new)
    answer = admin.post("/api/v1/secrets-rotation")
    assert answer.status_code == 503
    assert "old key" in answer.json()["remedy"]
    rekey(f"{new}, {old}")
    assert admin.post("/api/v1/secrets-rotation").json() == {"sealed_again": 2}
    assert admin.post("/api/v1/secrets-rotation").json() == {"sealed_again": 0}
    rekey(new)
    with transaction() as session:
        assert service.reveal(session, project.id, "hub") == VALUE
        assert service.reveal(session, project.id, "judge", url=URL) == KEY["value"]


@pytest.mark.parametrize(
    "keys", ["short", "not base64!", f"{base64.b64encode(bytes(32)).decode()},", base64.b64encode(b"x" * 31).decode()]
)
def test_unusable_key(owner: Client, rekey: Callable[[str], None], keys: str) -> None:
    """A key that is none is told, not stretched or shown, and nothing is stored."""
    rekey(keys)
    answer = owner.put("/api/v1/secrets/hub", json=HUB)

    assert answer.status_code == 503
    assert "32 bytes" in answer.json()["detail"]
    assert keys not in answer.text
    with transaction() as session:
        assert session.scalars(select(Secret)).all() == []


def test_key_file(tmp_path: Path) -> None:
    """The key file is made once, readable to its owner alone; one that others may read is not used."""
    settings = Settings(data=tmp_path / "data")
    ring = seal.keys(settings)
    assert seal.keys(settings) == ring
    path = settings.data / seal.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in settings.data.iterdir()] == [seal.FILE]
    path.chmod(0o640)
    with pytest.raises(seal.BadSecretKey, match="read by others"):
        seal.keys(settings)


def test_replaced(owner: Client, project: Project) -> None:
    """Setting a secret again replaces its value, also under another kind."""
    first = put(owner)
    assert put(owner, "hub", KEY)["id"] == first["id"]
    with transaction() as session:
        assert service.reveal(session, project.id, "hub", url=URL) == KEY["value"]
