"""Routes that give data out: the catalogue of formats, exports, what they lose, and items made of others."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, WithJsonSchema

from alignment.formats import FORMATS
from alignment.formats.preference import BothBad, Policy, Sources, Ties, Unit
from alignment.formats.ranking import PairRule
from backend.audit import service as audit
from backend.datasets import converting, exports, previews, service, transfers
from backend.datasets.schemas import (
    ConversionOut,
    ConvertedOut,
    ConvertPreviewOut,
    DatasetConvertIn,
    DatasetConvertPreviewIn,
    FormatOut,
    LossesOut,
)
from backend.db import transaction
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep

router = APIRouter()
WRITTEN = (*FORMATS, exports.PARQUET)


def _known(name: str) -> str:
    if name not in WRITTEN:
        raise ValueError(f"must be one of {', '.join(WRITTEN)}")
    return name


ExportFormat = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(WRITTEN)})]
Style = Annotated[str | None, Query(max_length=40, description="Null: the usual way of writing the format.")]
Rule = Annotated[PairRule | None, Query(description="Which answers of a ranking become pairs.")]
Bad = Annotated[
    BothBad, Query(description="Pairs judged both bad: left out, or both answers as unwanted where rows have a thumb.")
]


_SAID = {name: field.description for name, field in Policy.model_fields.items()}


def policy(
    sources: Annotated[Sources, Query(description=_SAID["sources"])] = "people_first",
    task: Annotated[uuid.UUID | None, Query(description=_SAID["task"])] = None,
    min_votes: Annotated[int, Query(ge=1, le=100, description=_SAID["min_votes"])] = 1,
    min_margin: Annotated[float, Query(ge=0, le=3, description=_SAID["min_margin"])] = 0,
    unit: Annotated[Unit, Query(description=_SAID["unit"])] = "pair",
    ties: Annotated[Ties, Query(description=_SAID["ties"])] = "leave_out",
    soft: Annotated[bool, Query(description=_SAID["soft"])] = False,
    reasons: Annotated[bool, Query(description=_SAID["reasons"])] = False,
    aspects: Annotated[bool, Query(description=_SAID["aspects"])] = False,
    surplus: Annotated[bool, Query(description=_SAID["surplus"])] = True,
    annotators: Annotated[bool, Query(description=_SAID["annotators"])] = True,
) -> Policy:
    """The policy by which labels decide."""
    return Policy(
        sources=sources,
        task=task,
        min_votes=min_votes,
        min_margin=min_margin,
        unit=unit,
        ties=ties,
        soft=soft,
        reasons=reasons,
        aspects=aspects,
        surplus=surplus,
        annotators=annotators,
    )


PolicyDep = Annotated[Policy, Depends(policy)]


@router.get("/formats")
def list_formats(_: Researcher) -> list[FormatOut]:
    """Every format that rows are read from and written in, with an example and what it cannot hold."""
    return previews.catalogue()


@router.get(
    "/datasets/{dataset_id}/export",
    response_class=StreamingResponse,
    responses=transfers.a_file(*exports.MEDIA_TYPES.values(), "text/tab-separated-values"),
)
def export_dataset(
    dataset_id: uuid.UUID,
    user: Researcher,
    session: SessionDep,
    project: ProjectDep,
    decided: PolicyDep,
    format: ExportFormat = "native",
    style: Style = None,
    rule: Rule = None,
    both_bad: Bad = "leave_out",
) -> StreamingResponse:
    """The dataset as a file to keep."""
    dataset = service.find(session, project, dataset_id)
    export = exports.plan(session, dataset, format, style, rule, decided, both_bad)
    content = exports.stream(transaction, dataset, format, export)
    audit.record(session, user, project.id, "export", "dataset", dataset.id, {"name": dataset.name, "format": format})
    return StreamingResponse(
        content,
        media_type=exports.media_type(format, export.style),
        headers=transfers.attachment(exports.file_name(dataset, format, export.style)),
    )


@router.get("/datasets/{dataset_id}/export/losses")
def count_losses(
    dataset_id: uuid.UUID,
    _: Researcher,
    session: SessionDep,
    project: ProjectDep,
    decided: PolicyDep,
    format: ExportFormat = "native",
    style: Style = None,
    rule: Rule = None,
    both_bad: Bad = "leave_out",
) -> LossesOut:
    """What an export in this format would lose, counted before it is made."""
    dataset = service.find(session, project, dataset_id)
    return exports.losses(
        session, dataset, format, exports.plan(session, dataset, format, style, rule, decided, both_bad)
    )


@router.get("/datasets/{dataset_id}/conversions")
def list_conversions(
    dataset_id: uuid.UUID, _: Researcher, session: SessionDep, project: ProjectDep
) -> list[ConversionOut]:
    """What can be made of the dataset's items, each with the rule that has to be stated."""
    return converting.choices(service.find(session, project, dataset_id))


@router.post("/datasets/{dataset_id}/convert/preview")
def preview_conversion(
    dataset_id: uuid.UUID, body: DatasetConvertPreviewIn, _: Researcher, session: SessionDep, project: ProjectDep
) -> ConvertPreviewOut:
    """What a rule would make of the dataset, and what it would leave out and why; nothing is written."""
    return converting.preview(session, service.find(session, project, dataset_id), body.rule)


@router.post("/datasets/{dataset_id}/convert", status_code=201)
def convert_dataset(
    dataset_id: uuid.UUID,
    body: DatasetConvertIn,
    user: Researcher,
    session: SessionDep,
    project: ProjectDep,
    once: OnceDep,
) -> ConvertedOut:
    """Make a new dataset of the items of this one, by a stated rule."""
    dataset = service.find(session, project, dataset_id)
    return once(body, ConvertedOut, lambda: converting.make(session, project, user.id, dataset, body))
