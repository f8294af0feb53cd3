"""The one switch that keeps this machine to itself: `PLUMBLINE_OFFLINE`. `HF_HUB_OFFLINE` bars hubs alone."""

import os

from backend.accounts.schemas import Network
from backend.errors import NotAllowed
from backend.settings import Settings, get_settings

# Nothing about a private workbench is reported anywhere, offline or not.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
BARRED = {
    "PLUMBLINE_OFFLINE": "1",  # training processes read no settings
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Offline(NotAllowed):
    title = "Offline"


def tell_libraries(settings: Settings) -> None:
    """Afterwards the libraries of this process and its children report nothing and, offline, ask nobody.

    They look when they are imported, so this comes first.
    """
    os.environ.update(QUIET | (BARRED if settings.offline else {}))


def barred() -> tuple[str, str] | None:
    """Why no hub may be asked from here, and what to do; None when it may."""
    if get_settings().offline:
        name, what = "PLUMBLINE_OFFLINE", "Plumbline is told to stay offline here"
    elif os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        name, what = "HF_HUB_OFFLINE", "Plumbline is told to ask no hub"
    else:
        return None
    remedy = f"Copy files into an allowed folder of the server, or let an admin unset {name} and start again."
    return f"{what} ({name}), so models and data of hubs are switched off.", remedy


def network() -> Network:
    """What may be reached from here."""
    return "offline" if get_settings().offline else "no hub" if barred() else "open"


def require_hub(field: str | None = None) -> None:
    """Raises Offline when no hub may be asked."""
    found = barred()
    if found is not None:
        raise Offline(found[0], remedy=found[1], field=field)
