"""Routes of secrets: researchers see that there are some and use them by name, owners set and delete them."""

from fastapi import APIRouter

from backend.deps import Admin, Owner, ProjectDep, Researcher, SessionDep
from backend.paging import Page
from backend.secrets import service
from backend.secrets.schemas import Name, RotationOut, SecretIn, SecretOut

router = APIRouter(tags=["secrets"])


@router.get("/secrets")
def list_secrets(_: Researcher, project: ProjectDep, session: SessionDep) -> Page[SecretOut]:
    """The secrets of the project, without their values."""
    return Page(items=service.listed(session, project))


@router.put("/secrets/{name}")
def put_secret(name: Name, body: SecretIn, user: Owner, project: ProjectDep, session: SessionDep) -> SecretOut:
    """Set a secret, new or in place of another value. No request ever answers with the value."""
    return service.put(session, project, user, name, body)


@router.delete("/secrets/{name}", status_code=204)
def delete_secret(name: Name, user: Owner, project: ProjectDep, session: SessionDep) -> None:
    """Forget a secret; what needs it fails from then on, and says so."""
    service.delete(session, project, user, name)


@router.post("/secrets-rotation")
def seal_again(user: Admin, session: SessionDep) -> RotationOut:
    """Encrypt every secret of the instance with the first key, so that older keys can be taken away."""
    return RotationOut(sealed_again=service.seal_again(session, user))
