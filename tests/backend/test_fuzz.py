"""Every route of the API, fed what its schema allows and does not allow, never fails inside."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from backend.accounts import service
from backend.accounts.models import Role
from backend.app import API, create_app
from backend.db import transaction
from backend.settings import Settings

CHECKS: list[CheckFunction] = [not_a_server_error, content_type_conformance, response_schema_conformance]


schema = schemathesis.openapi.from_asgi(
    f"{API}/openapi.json", create_app(Settings(allowed_hosts=("testserver",), _env_file=None))
)


@pytest.fixture
def token(clean: None) -> str:
    with transaction() as session:
        user, _ = service.add(session, "fuzz", Role.admin)
        return service.add_token(session, user, "fuzz")[1]


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_no_server_error(case: schemathesis.Case[Any], token: str) -> None:
    """Whatever is sent, the answer is a result or a problem document, never an internal error."""
    case.call_and_validate(checks=CHECKS, headers={"authorization": f"Bearer {token}"})
