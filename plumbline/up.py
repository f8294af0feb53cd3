"""`plumbline up`: everything on this machine, started in order, kept running, stopped in order."""

import http.client
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog

from backend.settings import Settings, get_settings
from plumbline.children import Child, Children
from plumbline.embedded import AlreadyRunning, Embedded, holder
from plumbline.services import Trouble, check_port, check_services, private, use

log = structlog.get_logger()
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WEB = ("web", ("web",), 10.0)
LIGHT = ("worker light", ("worker", "light", "--beat"), 30.0)
TRAIN = ("worker train", ("worker", "train"), 40.0)
READY_SECONDS = 90.0


class Interrupted(BaseException):
    """Somebody asked the program to stop."""


class WebFailed(Trouble):
    """The web server ended, or did not answer in time."""


class Stack:
    """The running program: servers, web and workers. Use as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.servers: Embedded = private(settings)
        self.children = Children(dict(os.environ))
        self.address = address(settings)

    def __enter__(self) -> "Stack":
        """Afterwards the databases run and this process uses them. Raises Trouble, AlreadyRunning or ServerFailed."""
        running = holder(self.settings.data)
        if running is not None:  # else its port would be what is complained of
            raise AlreadyRunning(self.settings.data, running)
        check_port(self.settings)
        check_services(self.settings)
        try:
            self.servers.start()
            self.servers.lock.tell(address=self.address, host=self.settings.host, port=self.settings.port)
            use(**self.servers.urls)
            self.settings = get_settings()
            self.children.env = dict(os.environ)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.children.stopping = True  # from here on a signal must not cut the order short
        self.children.stop()
        self.servers.stop()

    def serve(self) -> None:
        """Afterwards the web server answers and the workers are on their way. Raises WebFailed."""
        web = Child(*WEB)
        self.children.launch(web)
        for worker in (LIGHT, TRAIN):
            self.children.launch(Child(*worker))
        limit = time.monotonic() + READY_SECONDS
        while not answers(self.settings):
            if web.process is not None and web.process.poll() is not None:
                raise WebFailed(f"The web server did not start. Its log is {self.settings.logs / 'web.log'}.")
            if time.monotonic() > limit:
                raise WebFailed(f"The web server does not answer. Its log is {self.settings.logs / 'web.log'}.")
            time.sleep(0.05)

    def tend(self) -> None:
        """Start again whatever has died."""
        for title in self.servers.revive():
            log.warning("died and was started again", child=title)
        self.children.tend()

    def watch(self, seconds: float | None = None) -> None:
        """Tend for so long, or until interrupted."""
        limit = None if seconds is None else time.monotonic() + seconds
        while limit is None or time.monotonic() < limit:
            self.tend()
            time.sleep(0.5)


@contextmanager
def stopping_on_signals(children: Children) -> Iterator[None]:
    """Turn the first signal to stop into Interrupted; a second one kills the children that are still at it."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if children.stopping:
            children.kill()
        else:
            children.stopping = True
            raise Interrupted

    before: Mapping[signal.Signals, Any] = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # `nohup` wants the program to outlive its terminal
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def address(settings: Settings) -> str:
    """What to type into a browser."""
    everywhere = settings.host in {"0.0.0.0", "::"}  # noqa: S104  (compared, not bound)
    local = settings.host in {"127.0.0.1", "::1"} or everywhere
    name = "localhost" if local and "localhost" in settings.allowed_hosts else settings.host
    return f"http://{f'[{name}]' if ':' in name else name}:{settings.port}"


def bound(settings: Settings, running: Mapping[str, Any] | None) -> Settings:
    """The settings with host and port of the program that holds the data folder, as far as it tells them: it may have
    been started with others."""
    told = {name: running[name] for name in ("host", "port") if name in running} if running is not None else {}
    return settings.model_copy(update=told)


def answers(settings: Settings, path: str = "/health/live") -> bool:
    """Whether the web server answers, and says at `path` that it is well."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    connection = http.client.HTTPConnection(target, settings.port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": settings.allowed_hosts[0]})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
