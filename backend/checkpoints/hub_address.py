"""Which hub this machine asks, if any."""

import os

PUBLIC = "https://huggingface.co"


def endpoint() -> str:
    """The address of the hub that this machine asks."""
    return (os.environ.get("HF_ENDPOINT") or PUBLIC).rstrip("/")


def offline() -> bool:
    """Whether this machine may ask no hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
