"""Routes that give data out: the catalogue of formats, exports, what they lose, and items made of others."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, WithJsonSchema

from alignment.formats import FORMATS
from alignment.formats.preference import Policy, Sources
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


def policy(
    sources: Annotated[Sources, Query(description="Whose labels decide a pair.")] = "people_first",
) -> Policy:
    """The policy that decides pairs."""
    return Policy.model_validate({"sources": sources})


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
) -> StreamingResponse:
    """The dataset as a file to keep."""
    dataset = service.find(session, project, dataset_id)
    export = exports.plan(dataset, format, style, rule, decided)
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
) -> LossesOut:
    """What an export in this format would lose, counted before it is made."""
    dataset = service.find(session, project, dataset_id)
    return exports.losses(session, dataset, format, exports.plan(dataset, format, style, rule, decided))


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
