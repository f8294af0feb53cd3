"""The web application: the pages mounted on the API, for uvicorn (`plumbline web`)."""

import gc

from fastapi import FastAPI

from backend.app import create_app
from backend.settings import Settings, get_settings
from frontend.app import mount


def create(settings: Settings | None = None) -> FastAPI:
    """API and pages as one application; the pages come last, since Gradio takes every address left over."""
    application = mount(create_app(settings or get_settings()))
    gc.freeze()  # what is there for good is never gone through again: large exports pay for it else
    return application
