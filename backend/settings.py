"""Every setting of the program, read once from the environment (prefix `PLUMBLINE_`)."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.addresses import Allowance


def default_data_folder() -> Path:
    """The data folder when none is named: the system's for root, else the user's."""
    if os.geteuid() == 0:
        return Path("/var/lib/plumbline")
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "plumbline"


class Settings(BaseSettings):
    """What may be configured. `DATABASE_URL` and `REDIS_URL` unset means embedded servers."""

    model_config = SettingsConfigDict(env_prefix="PLUMBLINE_", extra="ignore", populate_by_name=True)

    data: Path = Field(default_factory=default_data_folder, description="Folder for everything Plumbline stores.")
    database_url: str | None = Field(None, validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    redis_url: str | None = Field(None, validation_alias=AliasChoices("REDIS_URL", "redis_url"))
    storage: str | None = Field(
        None, description="Shared folder or fsspec URL (s3://bucket/prefix) of large files; unset: the data folder."
    )
    cache_bytes: int = Field(
        100 << 30, ge=0, description="Most that this machine keeps of copies from a storage that is a URL."
    )
    host: str = Field("127.0.0.1", description="Address the web server binds.")
    port: int = Field(7860, ge=1, le=65535)
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("localhost", "127.0.0.1", "[::1]"), description="Host names a request may ask for, without port."
    )
    secure_cookies: bool = Field(False, description="Mark the session cookie Secure (behind HTTPS).")
    session_hours: int = Field(24 * 14, ge=1)
    sign_in_attempts: int = Field(10, ge=1, description="Failed sign-ins allowed per five minutes, name and address.")
    checkpoint_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Folders whose subfolders may be registered as checkpoints."
    )
    data_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Folders of the server whose files may be imported where they lie."
    )
    checks: Path | None = Field(
        None, description="Folder of Python files that judge answers by rules; only whoever runs the program writes it."
    )
    harness_tasks: Path | None = Field(
        None, description="Folder of tasks for lm-evaluation-harness; only whoever runs the program writes it."
    )
    allowed_addresses: Annotated[tuple[Allowance, ...], NoDecode] = Field(
        (), description="Private addresses that users may name as endpoints: networks or host:port, split by commas."
    )
    offline: bool = Field(False, description="Reach nothing but database, broker, storage and allowed endpoints.")
    stop_grace_seconds: float = Field(120, gt=0, description="Time a run that is cancelled has for saving.")
    max_upload_bytes: int = Field(4 << 30, ge=1)
    max_report_bytes: int = Field(1 << 30, ge=1, description="Most events, in bytes, of one run trained elsewhere.")
    max_line_bytes: int = Field(10 << 20, ge=1)
    max_body_bytes: int = Field(4 << 20, ge=1, description="Largest JSON body accepted; uploads have their own limit.")
    feedback_per_minute: int = Field(6000, ge=1, description="Most pieces of feedback a minute that a project takes.")
    secret_key: SecretStr | None = Field(
        None, description="Keys of the stored secrets, base64, with commas; the first seals. Unset: file secret.key."
    )
    oidc_issuer: str | None = Field(None, description="Address of an OpenID Connect provider to sign in with.")
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_name: str = Field("your organization", max_length=60, description="What the sign-in button calls it.")
    oidc_accounts: Literal["known", "created"] = Field(
        "known", description="Whether people who come from there must be expected, or get an account by themselves."
    )
    oidc_domains: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Domains of email addresses that may come from there; none means all."
    )
    metrics_token: SecretStr | None = Field(
        None, description="Token that /metrics asks for. Unset: only programs on this machine may read it."
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="Lines on standard error; auto is text in a terminal and JSON elsewhere."
    )
    log_level: Literal["info", "warning", "error"] = Field(
        "warning", description="From which level on lines go to standard error; the log files begin at info."
    )
    admin_name: str = "admin"
    admin_password: str | None = Field(None, description="Password of the first admin; unset means a random one.")
    upgrade_copy: bool = Field(True, description="Copy the rows of a database before its schema is upgraded.")
    seed_tour: bool = Field(True, description="Fill the Tour project at first start.")

    @field_validator("allowed_hosts", "checkpoint_roots", "data_roots", "oidc_domains", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_addresses", mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        return (
            tuple(Allowance.parse(part) for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @property
    def uploads(self) -> Path:
        return self.data / "uploads"

    @property
    def snapshots(self) -> Path:
        return self.data / "snapshots"

    @property
    def runs(self) -> Path:
        return self.data / "runs"

    @property
    def checkpoints(self) -> Path:
        return self.data / "checkpoints"

    @property
    def references(self) -> Path:
        return self.data / "references"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    def roots(self) -> tuple[Path, ...]:
        """Folders an admin allows checkpoints to be registered from; `checkpoints/` of the data folder is one."""
        return (self.checkpoints, *self.checkpoint_roots)


@lru_cache
def get_settings() -> Settings:
    """The settings of this process."""
    return Settings()
