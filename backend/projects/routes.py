"""Routes of projects, their members, and invitations."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.audit import service as audit
from backend.deps import (
    Admin,
    CurrentUser,
    IdentityDep,
    ProjectDep,
    SessionDep,
    Whole,
    named_project,
    need,
    refuse_archived,
)
from backend.paging import Page
from backend.projects import invitation_routes, members, service
from backend.projects.members import Place
from backend.projects.models import Membership
from backend.projects.schemas import MemberIn, MemberOut, MemberPatch, ProjectIn, ProjectOut, ProjectPatch

router = APIRouter(tags=["projects"])
router.include_router(invitation_routes.router)


def _out(place: Place) -> ProjectOut:
    project, role = place
    return ProjectOut(
        id=project.id, name=project.name, role=role, archived_at=project.archived_at, created_at=project.created_at
    )


@router.get("/projects")
def list_projects(identity: IdentityDep, session: SessionDep) -> Page[ProjectOut]:
    """The caller's projects, the one first that requests are about when they name none."""
    return Page(items=[_out(place) for place in members.places(session, identity.user, identity.token)])


@router.post("/projects", status_code=201)
def create_project(body: ProjectIn, user: Whole, session: SessionDep) -> ProjectOut:
    """A new project with the caller as its owner; for admins and owners of a project."""
    place = service.create(session, user, body.name)
    audit.record(session, user, place.project.id, "create", "project", place.project.id, {"name": body.name})
    return _out(place)


def addressed(project_id: uuid.UUID, identity: IdentityDep, session: SessionDep) -> Place:
    """The project in the path, archived or not."""
    return service.find(session, identity.user, identity.token, project_id)


def owned(project_id: uuid.UUID, identity: IdentityDep, session: SessionDep) -> Place:
    """The project in the path, of which the caller is an owner; nobody else changes it until the end."""
    members.manage(session, project_id)
    place = service.find(session, identity.user, identity.token, project_id)
    need(place, Role.owner)
    return place


Addressed = Annotated[Place, Depends(addressed)]
Owned = Annotated[Place, Depends(owned)]


@router.get("/projects/{project_id}")
def read_project(place: Addressed) -> ProjectOut:
    """One of the caller's projects."""
    return _out(place)


@router.patch("/projects/{project_id}")
def change_project(body: ProjectPatch, place: Owned, user: CurrentUser, session: SessionDep) -> ProjectOut:
    """Give another name, archive it (it can then be read only), or open it again."""
    if body.name is not None:
        service.rename(session, user, place.project, body.name)
    if body.archived is not None:
        service.archive(place.project, body.archived)
    detail = body.model_dump(exclude_none=True)
    audit.record(session, user, place.project.id, "change", "project", place.project.id, detail)
    return _out(place)


@router.delete("/projects/{project_id}", status_code=202)
def delete_project(
    place: Owned,
    user: CurrentUser,
    session: SessionDep,
    name: Annotated[str, Query(max_length=80, description="The project's name, to confirm.")],
) -> ProjectOut:
    """Delete a project for good: it is gone at once, its files and rows as soon as its work has stopped."""
    service.delete(session, place.project, name)
    audit.record(session, user, place.project.id, "delete", "project", place.project.id, {"name": name})
    return _out(place)


def managed(session: SessionDep, identity: IdentityDep, request: Request) -> Place:
    """The project of the request, whose members nobody else changes until the end; then only is it asked what the
    caller may do. (`PlaceDep` would hold the caller's own membership first, and two owners could wait for each other.)
    """
    named = named_project(request)
    members.manage(session, members.place(session, identity.user, identity.token, named, lock=False).project.id)
    place = members.place(session, identity.user, identity.token, named, lock=False)
    refuse_archived(place)
    return place


Managed = Annotated[Place, Depends(managed)]


def _member(membership: Membership, user: User) -> MemberOut:
    return MemberOut(
        user_id=user.id, name=user.name, role=membership.role, active=user.active, since=membership.created_at
    )


@router.get("/members")
def list_members(project: ProjectDep, session: SessionDep) -> Page[MemberOut]:
    """Everybody in the project, by name."""
    return Page(items=[_member(*row) for row in members.page(session, project)])


@router.post("/members", status_code=201)
def add_member(body: MemberIn, admin: Admin, project: ProjectDep, session: SessionDep) -> MemberOut:
    """Put somebody who has an account into the project; owners, who do not see the accounts of others, invite."""
    user = accounts.by_name(session, body.name)
    made = members.join(session, project.id, user, body.role)
    audit.record(session, admin, project.id, "add", "member", user.id, {"name": user.name, "role": body.role})
    return _member(made, user)


@router.patch("/members/{user_id}")
def change_member(
    user_id: uuid.UUID, body: MemberPatch, place: Managed, by: CurrentUser, session: SessionDep
) -> MemberOut:
    """Give a member another role."""
    need(place, Role.owner)
    found = members.change(session, place.project, user_id, body.role)
    user = accounts.find(session, user_id)
    audit.record(session, by, place.project.id, "change", "member", user_id, {"name": user.name, "role": body.role})
    return _member(found, user)


@router.delete("/members/{user_id}", status_code=204)
def remove_member(user_id: uuid.UUID, place: Managed, by: CurrentUser, session: SessionDep) -> None:
    """Take a member out, or leave oneself. Labels stay; pairs that the person holds go to others."""
    if user_id != by.id:
        need(place, Role.owner)
    members.remove(session, place.project, user_id)
    audit.record(session, by, place.project.id, "remove", "member", user_id)
