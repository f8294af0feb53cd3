"""The API: one FastAPI application, its guard, and the routes of every noun."""

import importlib
import importlib.util
import pkgutil
from typing import Any

from fastapi import APIRouter, Depends, FastAPI

import backend
from backend import errors
from backend.guard import Guard
from backend.operation import endpoints
from backend.operation.watch import Watch
from backend.reference.describing import describe
from backend.settings import Settings
from backend.storable import storable

API = "/api/v1"
FIRST = ("labels", "tasks")


def routers() -> list[APIRouter]:
    """The `router` of every noun's `routes.py`: first those that people wait for most often, as a request is held
    against one route after the other; then in the order of their names."""
    nouns = [module.name for module in pkgutil.iter_modules(backend.__path__) if module.ispkg]
    found = []
    for noun in sorted(nouns, key=lambda noun: (noun not in FIRST, noun)):
        name = f"backend.{noun}.routes"
        if importlib.util.find_spec(name) is not None:
            found.append(importlib.import_module(name).router)
    return found


class Api(FastAPI):
    """FastAPI whose description has examples."""

    def openapi(self) -> dict[str, Any]:
        """The description; made once."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(super().openapi(), API)
        return self.openapi_schema


def create_app(settings: Settings) -> FastAPI:
    """The API with its guard; pages are mounted on it by `plumbline.asgi`."""
    app = Api(title="Plumbline", version="1", docs_url=None, redoc_url=None, openapi_url=f"{API}/openapi.json")
    errors.install(app)
    for router in routers():
        app.include_router(router, prefix=API, responses=errors.RESPONSES, dependencies=[Depends(storable)])

    app.include_router(endpoints.router)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Watch)
    return app
