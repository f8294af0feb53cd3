"""Removing a person's data on request: who they were goes, what they judged stays without a name or goes too."""

import secrets
from typing import Any

from sqlalchemy import ColumnElement, Delete, Update, delete, func, select, text, update
from sqlalchemy.orm import Session

from backend.accounts import service as accounts
from backend.accounts.models import ApiToken, IdempotencyKey, Identity, SignIn, User
from backend.audit import service as audit
from backend.audit.models import AuditEvent
from backend.datasets.models import SnapshotLabel
from backend.erasure.schemas import ErasedOut, EraseIn, HeldOut
from backend.errors import Conflict, Invalid
from backend.evaluations.models import Battle, Verdict
from backend.labels import tallies
from backend.labels.models import Label, Lease
from backend.projects.models import Invitation, Membership
from backend.work import now

LOCK = 0x45726173  # advisory lock key, "Eras"
STAYS = (
    "Snapshots that are frozen: they hold which response won, and no names of people here; ids and reasons only where"
    " they were frozen with each label by itself (unit), or with reasons as rationales.",
    "Checkpoints that were trained on such snapshots.",
    "Items that battles of the arena have become in a dataset, with their prompts.",
    "Names of annotators and reasons that came in imported files: they belong to no account.",
    "Names that people gave to datasets, runs and evaluations, if they contain somebody's name.",
    "Files that were exported or downloaded, backups made before now, and copies of rows that upgrades made.",
    "That something was done, in the audit log: without address and, where it told of the person, without name.",
)


class Yourself(Conflict):
    title = "That is you"


class AlreadyRemoved(Conflict):
    title = "Already removed"


class NotConfirmed(Invalid):
    title = "Not confirmed"


def held(session: Session, user: User) -> HeldOut:
    """What there is of a person, and what of it cannot be changed."""

    def count(*where: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count()).where(*where)) or 0

    return HeldOut(
        name=user.name,
        labels=count(Label.annotator_id == user.id),
        rationales=count(Label.annotator_id == user.id, Label.rationale.is_not(None)),
        verdicts=count(Verdict.annotator_id == user.id),
        battles=count(Battle.created_by == user.id),
        frozen_labels=count(SnapshotLabel.label_id.in_(select(Label.id).where(Label.annotator_id == user.id))),
        sessions=count(SignIn.user_id == user.id),
        tokens=count(ApiToken.user_id == user.id),
        identities=count(Identity.user_id == user.id),
        memberships=count(Membership.user_id == user.id),
        audit_events=count(AuditEvent.user_id == user.id),
        stays=list(STAYS),
    )


def erase(session: Session, admin: User, user: User, body: EraseIn) -> ErasedOut:
    """Afterwards nobody can sign in as the person, and nothing here names them.

    Raises Yourself, AlreadyRemoved, NotConfirmed, LastAdmin.
    """
    session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    session.refresh(user, with_for_update={"key_share": True})  # a label on its way names the person
    _check(admin, user, body)
    before = held(session, user)
    accounts.change(session, user, admin=False, active=False)
    removed = {"sessions": before.sessions}
    for name, statement in _ways_in(user).items():
        removed[name] = _done(session, statement)
    if body.judgements == "delete":
        removed["verdicts"] = _done(session, delete(Verdict).where(Verdict.annotator_id == user.id))
        votes = update(Battle).where(Battle.created_by == user.id, Battle.value.is_not(None))
        _done(session, votes.values(value=None, client_id=None))
        datasets = tallies.hold(session, user.id)
        removed["labels"] = _done(session, delete(Label).where(Label.annotator_id == user.id))
        tallies.recount(session, datasets)
    # After the places: who labels holds those, and then wants the lease.
    removed["leases"] = _done(session, delete(Lease).where(Lease.annotator_id == user.id))
    if body.free_text == "delete":
        mine = Label.annotator_id == user.id, Label.rationale.is_not(None)
        removed["rationales"] = _done(session, update(Label).where(*mine).values(rationale=None))
        removed["battles"] = _done(session, delete(Battle).where(Battle.created_by == user.id))
    alias = f"removed person {_number(session)}"
    _forget_name(session, user, alias)
    user.name, user.erased_at = alias, now()
    user.password_hash = accounts.hasher().hash(secrets.token_urlsafe(32))  # a hash that no word opens
    told = {"judgements": body.judgements, "free_text": body.free_text, "removed": removed}
    audit.record(session, admin, None, "erase", "person", user.id, told)
    session.flush()
    return ErasedOut(name=alias, removed=removed, stays=list(STAYS))


def _check(admin: User, user: User, body: EraseIn) -> None:
    if user.erased_at is not None:
        raise AlreadyRemoved("This person's data has been removed already.", remedy="There is nothing left to do.")
    if user.id == admin.id:
        raise Yourself("Nobody removes the own data.", remedy="Ask another admin.")
    if body.confirm.strip().lower() != user.name:
        raise NotConfirmed("That is not the person's name.", field="confirm", remedy=f"Type {user.name} to confirm.")


def _ways_in(user: User) -> dict[str, Delete]:
    return {
        "tokens": delete(ApiToken).where(ApiToken.user_id == user.id),
        "identities": delete(Identity).where(Identity.user_id == user.id),
        "memberships": delete(Membership).where(Membership.user_id == user.id),
        "kept_answers": delete(IdempotencyKey).where(IdempotencyKey.user_id == user.id),
    }


def _done(session: Session, statement: Delete | Update) -> int:
    result: Any = session.execute(statement.execution_options(synchronize_session=False))
    return int(result.rowcount)


def _number(session: Session) -> int:
    return (session.scalar(select(func.count()).where(User.erased_at.is_not(None))) or 0) + 1


def _forget_name(session: Session, user: User, alias: str) -> None:
    """Take name and addresses out of invitations and the audit log; this is the one change its trigger lets through."""
    came = select(Invitation.id).where(Invitation.accepted_by == user.id)
    invitations = session.scalars(came).all()
    session.execute(update(Invitation).where(Invitation.id.in_(invitations)).values(hint=alias))
    session.execute(text("SET LOCAL plumbline.erasing = 'on'"))
    about = (AuditEvent.noun_id == user.id) | AuditEvent.noun_id.in_(invitations)
    named = AuditEvent.noun.in_(["person", "member"]) & (AuditEvent.detail["name"].astext == user.name)
    nameless = AuditEvent.detail.op("-")("name").op("-")("hint")
    session.execute(update(AuditEvent).where(AuditEvent.user_id == user.id).values(ip=None))
    session.execute(update(AuditEvent).where(about | named).values(detail=nameless))
    session.execute(text("SET LOCAL plumbline.erasing = 'off'"))
