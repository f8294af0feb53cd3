"""Which hub this machine asks; whether it may, `backend.offline` says."""

import os

PUBLIC = "https://huggingface.co"


def endpoint() -> str:
    """The address of the hub that this machine asks."""
    return (os.environ.get("HF_ENDPOINT") or PUBLIC).rstrip("/")
