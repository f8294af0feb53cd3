"""The tally of the arena: win rates by pair, and a ranking of all that have met."""

from sqlalchemy import String, cast, func, or_, select
from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.evaluations import columns, contestants, findings, tables
from backend.evaluations.arena_schemas import TallyOut, TallyQuery
from backend.evaluations.models import Battle, Match, Source, Verdict
from backend.evaluations.said import Rule, Said, query
from backend.projects.models import Project


def tally(session: Session, project: Project, user: User, wanted: TallyQuery) -> TallyOut:
    """Votes of the arena: the person's own, or everybody's; without conversations that are still blind to the person,
    whose names the numbers would tell.

    A conversation's turns, and the pairs of one battle, hang together: intervals draw first prompts anew, or people.
    """
    known = or_(Match.battle_id.is_(None), Battle.revealed_at.is_not(None), Battle.created_by.is_distinct_from(user.id))
    where = [Match.evaluation_id.is_(None), Match.project_id == project.id, Verdict.source == Source.person, known]
    if wanted.mine:
        where.append(Verdict.annotator_id == user.id)
    if wanted.since is not None:
        where.append(Verdict.created_at >= wanted.since)
    first = func.coalesce(Battle.prompt_hash, Match.prompt_hash)
    person = func.coalesce(cast(Verdict.annotator_id, String), first)  # of somebody whose data were removed
    cluster = person if wanted.cluster == "person" else first
    votes = func.count(func.coalesce(Match.battle_id, Match.id).distinct())
    battle = Battle.id == Match.battle_id
    count = session.scalar(select(votes).select_from(Match).join(Verdict).outerjoin(Battle, battle).where(*where)) or 0
    of_arena = query(cluster).outerjoin(Battle, battle).where(*where)
    said = [Said(*row) for row in session.execute(of_arena)]
    met = sorted({one for verdict in said for one in (verdict.a, verdict.b)})
    named = contestants.named(session, met)
    matches, voice = columns.of(said, met)
    decided = tables.decided(voice, matches)
    return TallyOut(
        votes=count,
        cluster=wanted.cluster,
        names={one: named[one].name for one in met},
        pairs=[row for row in tables.pairs(voice, matches, decided, Rule()) if row.verdicts],
        ranking=findings.ranking(decided, met, None, Rule()),
    )
