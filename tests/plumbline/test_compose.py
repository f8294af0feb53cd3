"""The container files: there is no engine here to run them, so everything that can be read is held to the program."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import typer.main
import yaml
from pydantic import AliasChoices

from backend.settings import Settings
from plumbline.cli import app

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PINNED = re.compile(r"^[\w./-]+:\d+\.\d+(\.\d+)?(-[\w.-]+)?$")
OTHERS = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "VALKEY_PASSWORD"}  # the images' own


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
    return found


def variables() -> set[str]:
    """Every environment variable that is a setting of the program."""
    names = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names.add(str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"PLUMBLINE_{name.upper()}")
    return names


def filled_in(text: str) -> str:
    """The file as an engine reads it, once the variables have values."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "example", text)
    return json.dumps(yaml.safe_load(text))


def parse(arguments: list[str]) -> None:
    """Raises when the command line has no such command, argument or option."""
    command: Any = typer.main.get_command(app)
    name, found, rest = command.resolve_command(
        command.make_context("plumbline", [], resilient_parsing=True), arguments
    )
    assert found is not None
    found.make_context(name, rest)


def test_it_is_a_valid_compose_file() -> None:
    """The file keeps to the Compose specification and refers only to volumes that it declares."""
    parsed = compose_spec.PyCompose.from_json(filled_in(COMPOSE))
    parsed.validate()
    assert set(parsed.service_names()) == {"postgres", "valkey", "migrate", "web", "worker-light", "worker-gpu"}


def test_an_unknown_key_would_be_noticed() -> None:
    """The check above is worth something: a misspelt key does not pass it."""
    with pytest.raises(Exception, match="helthcheck"):
        compose_spec.PyCompose.from_json(filled_in(COMPOSE.replace("healthcheck:", "helthcheck:", 1)))


def test_every_command_exists(services: dict[str, Any]) -> None:
    """Each container runs a command line that the program accepts, and so does each health check of ours."""
    ours = {name: service for name, service in services.items() if service["image"].startswith("plumbline:")}
    assert set(ours) == {"migrate", "web", "worker-light", "worker-gpu"}
    for service in ours.values():
        parse(service["command"])
        if check := service.get("healthcheck"):
            assert check["test"][:2] == ["CMD", "plumbline"]
            parse(check["test"][2:])
    entry = re.search(r'^ENTRYPOINT \["plumbline"\]\nCMD \["(\w+)"\]', DOCKERFILE, re.MULTILINE)
    assert entry is not None
    parse([entry.group(1)])


def test_every_variable_is_a_setting(services: dict[str, Any]) -> None:
    """A variable that the program would ignore is in neither file; the ones that need a value have no default."""
    known = variables()
    for service in services.values():
        assert set(service["environment"]) <= known | OTHERS
    set_in_image = set(re.findall(r"(PLUMBLINE_\w+)=", DOCKERFILE))
    assert set_in_image
    assert set_in_image <= known
    for name in ("POSTGRES_PASSWORD", "VALKEY_PASSWORD", "PLUMBLINE_ADMIN_PASSWORD"):
        uses = re.findall(rf"\$\{{{name}[^}}]*\}}", COMPOSE)
        assert uses
        assert all(use.startswith(f"${{{name}:?") for use in uses)


def test_the_example_names_every_variable_and_no_password() -> None:
    """`.env.example` has exactly the variables that the compose file asks for, and secrets are left blank."""
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    example = dict(line.split("=", 1) for line in lines)
    assert set(example) == set(re.findall(r"\$\{(\w+)", COMPOSE))
    assert [name for name, value in example.items() if "PASSWORD" in name and value] == []


def test_images_are_pinned(services: dict[str, Any]) -> None:
    """No image moves under us: exact versions in both files, and ours is the version of the project."""
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    images = {service["image"] for service in services.values()}
    assert f"plumbline:{version.group(1)}" in images
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(stages) == 2
    for image in images | set(stages):
        assert PINNED.match(image), image


def test_it_is_shut_by_default(services: dict[str, Any]) -> None:
    """Only the web server is published, on the machine itself; nothing of ours runs as root or may gain rights."""
    assert {name for name, service in services.items() if "ports" in service} == {"web"}
    assert services["web"]["ports"] == ["${PUBLISH:-127.0.0.1:7860}:7860"]
    assert DOCKERFILE.rindex("USER plumbline") > DOCKERFILE.rindex("FROM ")
    for name in ("migrate", "web", "worker-light", "worker-gpu"):
        assert services[name]["cap_drop"] == ["ALL"]


def test_data_outlives_containers(services: dict[str, Any]) -> None:
    """Every folder that holds something is a named volume, and all of ours share one."""
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert services["valkey"]["volumes"] == ["valkey:/data"]
    assert all(services[name]["volumes"] == ["data:/data"] for name in ("migrate", "web", "worker-light", "worker-gpu"))


def test_training_reserves_the_card_and_one_worker_beats(services: dict[str, Any]) -> None:
    """The training worker asks for NVIDIA devices, nobody else does, and exactly one worker carries the beat."""
    [device] = services["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert [name for name, service in services.items() if "--beat" in service.get("command", [])] == ["worker-light"]


def test_secrets_stay_out_of_the_image() -> None:
    """What must not be copied into the image, or be committed, is excluded."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".env", ".git", ".venv"} <= set(ignored)
    done = subprocess.run(["git", "check-ignore", ".env"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode in {0, 128}  # 128: not a clone
