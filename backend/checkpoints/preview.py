"""A model of a hub as people see it before they download it: license, size, room on the disk, access."""

import shutil
import uuid
from typing import Any

from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.checkpoints import fetches
from backend.checkpoints.hub import Hub, Model
from backend.checkpoints.hub_errors import Away, Busy, Lied, Refused, TokenRefused
from backend.checkpoints.room import doubt, lacking
from backend.checkpoints.schemas import HubFileOut, HubModelOut
from backend.errors import AppError, Invalid, NotAllowed, TooMany, Unavailable
from backend.outbound import turn
from backend.settings import get_settings

NO_TEMPLATE = (
    "It has no chat template: give one here, or on the checkpoint's page afterwards. Until then it cannot run."
)


class HubRefused(Invalid):
    title = "Not a usable model"


class HubTokenRefused(NotAllowed):
    title = "The hub refuses"


class HubBusy(TooMany):
    title = "The hub asks to wait"


class HubAway(Unavailable):
    title = "The hub is away"


CLASSES: tuple[tuple[type[Refused], type[AppError]], ...] = (
    (TokenRefused, HubTokenRefused),
    (Busy, HubBusy),
    (Away, HubAway),
    (Refused, HubRefused),
)


def look(
    session: Session, project_id: uuid.UUID, user: User, hub_id: str, revision: str, secret: str | None
) -> HubModelOut:
    """What the hub says of a model, and whether it could be fetched now.

    Raises HubRefused, HubTokenRefused, HubBusy, HubAway, SecretMissing, TooManyChecks.
    """
    token = fetches.token(session, project_id, secret, user)
    try:
        with turn(), Hub(token) as hub:
            model = hub.look(hub_id, revision)
            refused, config = _config(hub, model)
            template = None if refused else _has_template(hub, model, config)
    except Refused as error:
        raised = next(shown for kind, shown in CLASSES if isinstance(error, kind))
        raise raised(error.reason, field="hub_id", remedy=error.remedy) from error
    return _out(model, revision, config, template, refused, token is not None)


def _config(hub: Hub, model: Model) -> tuple[Refused | None, dict[str, Any]]:
    """The model's configuration, or why its files cannot be read: a gated model shows its list to everybody."""
    try:
        return None, hub.read_json(model, "config.json")
    except (TokenRefused, Lied) as error:
        stated = model.stated.get("config")
        return error, stated if isinstance(stated, dict) else {}


def _has_template(hub: Hub, model: Model, config: dict[str, Any]) -> bool:
    names = {file.name for file in model.files}
    if "chat_template.jinja" in names or config.get("chat_template"):
        return True
    return "tokenizer_config.json" in names and bool(hub.read_json(model, "tokenizer_config.json").get("chat_template"))


def _out(
    model: Model,
    revision: str,
    config: dict[str, Any],
    template: bool | None,
    refused: Refused | None,
    asked_with_token: bool,
) -> HubModelOut:
    root = get_settings().checkpoints
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    refused = refused or _unsuited(config) or lacking(model.size, free)
    warnings = [NO_TEMPLATE] if template is False else []
    tight = doubt(model.size, free)
    if tight and refused is None:
        warnings.append(tight)
    if model.license is None:
        warnings.append("Its page states no license: ask its owner what you may do with it.")
    return HubModelOut(
        hub_id=model.hub_id,
        revision=revision,
        commit=model.commit,
        license=model.license,
        gated=model.gated,
        private=model.private,
        token=asked_with_token,
        architecture=_architecture(config),
        parameters=_parameters(model.stated),
        chat_template=template,
        files=[HubFileOut(name=file.name, bytes=file.size) for file in model.files],
        left_out=len(model.left_out),
        bytes=model.size,
        free_bytes=free,
        refusal=refused.reason if refused else None,
        remedy=refused.remedy if refused else None,
        warnings=warnings,
    )


def _architecture(config: dict[str, Any]) -> str | None:
    named = config.get("architectures")
    found = named[0] if isinstance(named, list) and named else config.get("model_type")
    return str(found)[:100] if isinstance(found, str) else None


def _unsuited(config: dict[str, Any]) -> Refused | None:
    """What its configuration already tells; everything else is checked when it is here."""
    named = _architecture(config) or ""
    if config.get("auto_map"):
        return Refused(
            "It needs code of its own (auto_map in config.json), and Plumbline never runs a model's code.",
            "Choose a model of an architecture that transformers knows.",
        )
    if config.get("architectures") and "CausalLM" not in named and "LMHead" not in named:
        return Refused(f"Its architecture “{named}” does not generate text.", "Choose one that ends in ForCausalLM.")
    return None


def _parameters(stated: dict[str, Any]) -> int | None:
    found = stated.get("safetensors")
    total = found.get("total") if isinstance(found, dict) else None
    return total if type(total) is int and 0 < total < 2**53 else None
