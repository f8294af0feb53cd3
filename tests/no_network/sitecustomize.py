"""A copy of this on PYTHONPATH keeps every Python process to this machine, and writes down who tried to leave it.

Beside the copy, `processes` names each process that it watches, and `attempts` what was tried: connecting, sending, or
asking for a name. What is tried is refused, so nothing of it leaves.
"""

import ipaddress
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TO_AN_ADDRESS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
ASKS_FOR = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}


def note(name: str, line: str) -> None:
    """Add a line to a file that all processes share."""
    with (HERE / name).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def stays_here(host: Any) -> bool:
    """Whether a host is this machine, told without asking anybody."""
    if isinstance(host, tuple):
        host = host[0]
    if isinstance(host, bytes | bytearray):
        host = bytes(host).decode("utf-8", "replace")
    if not host or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def watch(event: str, args: tuple[Any, ...]) -> None:
    """The audit hook."""
    if event in TO_AN_ADDRESS:
        of, target = args[0], args[1]
        if of.family not in (socket.AF_INET, socket.AF_INET6) or target is None:
            return
    elif event in ASKS_FOR:
        target = args[0]
    else:
        return
    if not stays_here(target):
        stack = "".join(traceback.format_stack(limit=12))
        note("attempts", f"{event} {target!r} by {sys.argv}\n{stack}")
        raise PermissionError(f"{event} {target!r}: this test keeps to its machine")


note("processes", Path("/proc/self/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip())
sys.addaudithook(watch)
