"""`plumbline check` in the terminal: every check in order, as a table or as JSON."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backend.redaction import hide, redacted
from backend.settings import Settings, get_settings
from plumbline.check import contents, machine, servers, ways
from plumbline.check.said import Check, Level, Said
from plumbline.check.scene import survey

CHECKS: Mapping[str, Check] = {
    "python": machine.python,
    "packages": machine.packages,
    "data folder": machine.data_folder,
    "disk": machine.disk,
    "gpu": machine.gpu,
    "database": servers.database,
    "schema": servers.schema,
    "clock": servers.clock,
    "broker": servers.broker,
    "workers": servers.workers,
    "storage": servers.files,
    "web server": ways.web,
    "cookies": ways.cookies,
    "proxies": ways.proxies,
    "sign-in provider": ways.provider,
    "hub": ways.hub,
    "metrics": ways.metrics,
    "secret key": contents.secret_key,
    "admins": contents.admins,
    "first password": contents.first_password,
    "projects": contents.projects,
    "people": contents.people,
}
COLORS = {Level.ok: "green", Level.warning: "yellow", Level.problem: "bold red"}


def run(*, as_json: bool) -> int:
    """Check everything and show it; 1 when there is a problem, else 0."""
    settings = get_settings()
    with _silence():
        found = look(settings)
    counts = {level.value: sum(said.level is level for said in found.values()) for level in Level}
    if as_json:
        listed = [{"check": name, **said._asdict()} for name, said in found.items()]
        print(json.dumps({**counts, "findings": listed}, indent=2))
    else:
        _show(found, counts)
    return 1 if counts["problem"] else 0


def look(settings: Settings) -> dict[str, Said]:
    """What the checks that apply say, by name; without anything that looks like a secret."""
    for secret in (settings.secret_key, settings.oidc_client_secret, settings.metrics_token):
        if secret is not None:
            hide(secret.get_secret_value())
    if settings.admin_password is not None:
        hide(settings.admin_password)
    found = {}
    with survey(settings) as scene:
        for name, check in CHECKS.items():
            said = check(scene)
            if said is not None:
                found[name] = Said(said.level, redacted(said.found), redacted(said.remedy) if said.remedy else None)
    return found


def _show(found: dict[str, Said], counts: dict[str, int]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("Check")
    table.add_column("What is, and what to do", ratio=1)
    for name, said in found.items():
        words = Text(said.found)
        if said.remedy:
            words.append(f"\n→ {said.remedy}", style="bold")
        table.add_row(Text(said.level.value, style=COLORS[said.level]), Text(name), words)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{counts['ok']} ok, {counts['warning']} to think about, {counts['problem']} to mend")


@contextmanager
def _silence() -> Iterator[None]:
    """Meanwhile nothing is logged: what matters is said in the table, and JSON stays JSON."""
    before, level = structlog.get_config(), logging.root.manager.disable
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
        structlog.configure(**before)
