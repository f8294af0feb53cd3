"""Models that OpenAI-compatible servers serve, as checkpoints: tried when they are registered, and whenever asked."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from alignment.parts import nearest
from backend.accounts.models import User
from backend.audit import service as audit
from backend.checkpoints import openai, registering, service
from backend.checkpoints.models import Checkpoint, Source
from backend.checkpoints.openai import Busy, Served, Server, Trouble
from backend.checkpoints.schemas import EndpointFacts, EndpointIn, EndpointRef, EndpointTestOut
from backend.errors import Conflict, Invalid, TooMany
from backend.outbound import plain_url, turn
from backend.projects.models import Project
from backend.secrets import service as secrets

TEST_SECONDS = 30.0
ARCHITECTURE = "endpoint"
HELLO = ({"role": "user", "content": "Say hello."},)


class EndpointRefused(Invalid):
    title = "Endpoint refused"


class EndpointBusy(TooMany):
    title = "The endpoint asks to wait"


class UnknownModel(Invalid):
    title = "Unknown model"


class NoEndpoint(Conflict):
    title = "Not an endpoint"


class EndpointInUse(Conflict):
    title = "Endpoint in use"


def models(session: Session, project: Project, user: User, ref: EndpointRef) -> list[Served]:
    """What a server lists.  Raises BadAddress, EndpointRefused, EndpointBusy, SecretMissing, SecretNotForThat."""
    url = plain_url(ref.base_url, "base_url")
    with _asked(), Server(url, key(session, project.id, ref.secret, url, user), TEST_SECONDS) as server:
        return server.models()


def register(session: Session, project: Project, user: User, body: EndpointIn) -> Checkpoint:
    """The endpoint as a checkpoint, once it has listed its models and answered.

    Raises what `models` does, UnknownModel, AlreadyRegistered.
    """
    facts, path = _facts(body)
    registering.refuse_known(session, project, path, "model")
    tried = _try(facts, key(session, project.id, facts.secret, facts.base_url, user))
    checkpoint = Checkpoint(
        project_id=project.id,
        name=body.name or facts.model[:120],
        source=Source.endpoint,
        path=path,
        endpoint=facts.model_dump(),
        architecture=ARCHITECTURE,
        parameters=0,
        max_tokens=tried.max_tokens,
        created_by=user.id,
    )
    session.add(checkpoint)
    session.flush()
    told = {"base_url": facts.base_url, "model": facts.model, "key": facts.secret}
    audit.record(session, user, project.id, "register", "endpoint", checkpoint.id, told)
    return checkpoint


def test(session: Session, project: Project, user: User, checkpoint_id: uuid.UUID) -> EndpointTestOut:
    """What a registered endpoint answers now.  Raises NotFound, NoEndpoint and what `register` does."""
    _, facts = _find(session, project, checkpoint_id)
    return _try(facts, key(session, project.id, facts.secret, facts.base_url, user))


def change(session: Session, project: Project, user: User, checkpoint_id: uuid.UUID, body: EndpointIn) -> Checkpoint:
    """The endpoint with other settings, tried anew when it is asked elsewhere, for another model or with another key.

    Raises NotFound, NoEndpoint, EndpointInUse for another model once it has answered or judged, and what `register`
    does.
    """
    checkpoint, known = _find(session, project, checkpoint_id, lock=True)
    facts, path = _facts(body)
    if facts.model != known.model:
        _refuse_used(session, checkpoint, "Register the other model as an endpoint of its own.", field="model")
    if path != checkpoint.path:
        registering.refuse_known(session, project, path, "model")
    if (path, facts.secret) != (checkpoint.path, known.secret):
        tried = _try(facts, key(session, project.id, facts.secret, facts.base_url, user))
        checkpoint.max_tokens = tried.max_tokens
    before, after = known.model_dump(), facts.model_dump()
    checkpoint.path, checkpoint.endpoint, checkpoint.name = path, after, body.name or checkpoint.name
    told = {name: {"was": before[name], "is": value} for name, value in after.items() if value != before[name]}
    audit.record(session, user, project.id, "change", "endpoint", checkpoint.id, {"name": checkpoint.name} | told)
    session.flush()
    return checkpoint


def delete(session: Session, project: Project, user: User, checkpoint_id: uuid.UUID) -> None:
    """Forget an endpoint that has neither answered nor judged.  Raises NotFound, NoEndpoint, EndpointInUse."""
    checkpoint, facts = _find(session, project, checkpoint_id, lock=True)
    _refuse_used(session, checkpoint, "It stays for their sake. Take its key away to keep it from being asked.")
    session.delete(checkpoint)
    told = {"name": checkpoint.name, "base_url": facts.base_url, "model": facts.model}
    audit.record(session, user, project.id, "delete", "endpoint", checkpoint.id, told)


def _facts(body: EndpointIn) -> tuple[EndpointFacts, str]:
    """How it is asked, and the path of its row.  Raises BadAddress."""
    url = plain_url(body.base_url, "base_url")
    facts = EndpointFacts(**body.model_dump(exclude={"base_url", "name"}), base_url=url)
    return facts, f"{url}#{facts.model}"


def _find(
    session: Session, project: Project, checkpoint_id: uuid.UUID, *, lock: bool = False
) -> tuple[Checkpoint, EndpointFacts]:
    checkpoint = service.find(session, project, checkpoint_id, lock=lock)
    if checkpoint.endpoint is None:
        raise NoEndpoint(f"“{checkpoint.name}” is no endpoint.")
    return checkpoint, EndpointFacts.model_validate(checkpoint.endpoint)


def _refuse_used(session: Session, checkpoint: Checkpoint, remedy: str, field: str | None = None) -> None:
    """Raises EndpointInUse when a match or an evaluation refers to it: what they say must stay true."""
    if service.used(session, checkpoint):
        raise EndpointInUse(
            f"“{checkpoint.name}” has answered or judged in evaluations or in the arena.", field=field, remedy=remedy
        )


def key(session: Session, project_id: uuid.UUID, secret: str | None, url: str, user: User | None = None) -> str | None:
    """The key to show the server at `url`.  Raises SecretMissing, SecretNotForThat."""
    return secrets.reveal(session, project_id, secret, url=url, user=user) if secret else None


def _try(facts: EndpointFacts, value: str | None) -> EndpointTestOut:
    with _asked(), Server(facts.base_url, value, TEST_SECONDS) as server:
        listed = {one.model: one for one in server.models()}
        if listed and facts.model not in listed:
            close = nearest(facts.model, listed)
            raise UnknownModel(
                f"The endpoint does not list “{facts.model}”.",
                field="model",
                remedy=f"Did you mean “{close}”?" if close else f"It lists {', '.join(sorted(listed)[:10])}.",
            )
        began = time.monotonic()
        # The settings of a real request: a server that refuses one of them says so now.
        body = openai.request(facts.model, HELLO, temperature=0.7, top_p=1.0, max_tokens=16, seed=0)
        answer = server.complete(body)
    return EndpointTestOut(
        model=facts.model,
        listed=bool(listed),
        max_tokens=listed[facts.model].max_tokens if listed else None,
        answer=answer.text[:500],
        seconds=time.monotonic() - began,
    )


@contextmanager
def _asked() -> Iterator[None]:
    """Few at once; troubles are errors for people."""
    try:
        with turn():
            yield
    except Busy as busy:
        raise EndpointBusy(busy.reason, remedy=busy.remedy) from busy
    except Trouble as trouble:
        raise EndpointRefused(trouble.reason, field=trouble.field, remedy=trouble.remedy) from trouble
