"""What goes in and out of the routes of exports."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import Field

from backend.accounts.schemas import In, Out
from backend.exports.models import Dtype, ExportKind
from backend.secrets.schemas import Name
from backend.work import State

REPO_ID = r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$"


class ExportIn(In):
    """A checkpoint to write for others."""

    checkpoint_id: uuid.UUID
    kind: Annotated[ExportKind, Field(description="`merged`: whole weights; `adapter`: the LoRA adapter alone.")] = (
        ExportKind.merged
    )
    dtype: Annotated[
        Dtype,
        Field(
            description="`as_trained`: nothing is lost (float32 where an adapter is merged, else as the weights lie);"
            " `bf16`: two bytes a weight."
        ),
    ] = Dtype.as_trained


class FileOut(Out):
    name: str
    size: int
    sha256: str


class ComparisonOut(Out):
    """How far the logits of the export, loaded again, are from the checkpoint's, both computed in float32."""

    prompts: int
    positions: int
    difference: float = Field(description="Root of the mean square, as a share of the logits' spread.")
    tolerance: float = Field(description="The difference from which on the export is thrown away.")
    same_token: float = Field(description="Share of positions with the same most likely token.")


class CommandOut(Out):
    """Something to copy into a terminal or a program."""

    title: str
    language: str
    text: str


class ExportOut(Out):
    id: uuid.UUID
    created_at: datetime
    finished_at: datetime | None
    state: State
    reason: str | None
    remedy: str | None
    done: int
    total: int
    step: str | None = Field(description="What is being done: loading, writing, comparing, finishing.")
    checkpoint_id: uuid.UUID
    name: str = Field(description="Name of the folder in the archive.")
    kind: ExportKind
    dtype: Dtype
    written_dtype: str | None
    base: str | None = Field(description="What an adapter stands on: a hub id, or the folder that the commands expect.")
    bytes: int
    files: list[FileOut]
    comparison: ComparisonOut | None
    available: bool = Field(description="Whether the files are still there.")
    archive_bytes: int | None = Field(description="Size of the archive.")
    commands: list[CommandOut]


class PushIn(In):
    """Where on the hub; the token is one of the project's secrets of kind hub."""

    repo_id: Annotated[str, Field(pattern=REPO_ID, description="Owner and name, such as `owner/model`.")]
    private: Annotated[bool, Field(description="Whether only the owner can see a repository that is made for it.")] = (
        True
    )
    secret: Annotated[Name, Field(description="Name of the project's secret with the hub's token.")]


class PushOut(Out):
    id: uuid.UUID
    created_at: datetime
    finished_at: datetime | None
    state: State
    reason: str | None
    remedy: str | None
    done: int
    total: int
    checkpoint_id: uuid.UUID
    export_id: uuid.UUID | None
    repo_id: str
    private: bool
    secret: str
    commit: str | None
    url: str | None
