"""The front door: command line, web application, embedded servers, and the client of a server that runs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plumbline.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """The client is loaded when it is asked for: commands need none."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from plumbline.client import Client

    return Client
