"""What goes in and out of the routes of data that are not uploaded: files of the server, datasets of a hub."""

from pydantic import BaseModel, Field

from backend.accounts.schemas import In
from backend.checkpoints.schemas import HUB_ID
from backend.secrets.schemas import Name as SecretName


class ServerIn(In):
    """A file or folder of the server."""

    path: str = Field(min_length=1, max_length=4096)


class ServerFile(BaseModel):
    path: str
    size: int


class ServerFolder(BaseModel):
    """What an allowed folder of the server holds; without a path, the allowed folders themselves."""

    path: str | None
    folders: list[str]
    files: list[ServerFile]


class HubDatasetOut(BaseModel):
    """What a hub says of a dataset: its commit, license, size, and the splits of each configuration."""

    hub_id: str
    commit: str
    license: str | None
    gated: bool
    private: bool
    size: int
    files: int
    configs: dict[str, list[str]]


class HubDatasetIn(In):
    """One split at one commit."""

    hub_id: str = Field(pattern=HUB_ID)
    commit: str = Field(pattern="^[0-9a-f]{40}$")
    config: str = Field(min_length=1, max_length=200)
    split: str = Field(min_length=1, max_length=200)
    secret: SecretName | None = None
