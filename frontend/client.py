"""The face's way into the API without a socket, as the person whose request is being answered."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI

API = "/api/v1"

# What tells the API who is calling and from where; everything else of the original request stays behind.
_PASSED_ON = ("cookie", "host", "origin", "user-agent", "x-forwarded-proto")


@asynccontextmanager
async def connect(application: FastAPI, headers: Mapping[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client into `application` that carries over the identifying headers of another request."""
    transport = httpx2.ASGITransport(app=application)
    base_url = f"http://{headers.get('host', 'localhost')}"
    passed_on = {name: headers[name] for name in _PASSED_ON if name in headers}
    async with httpx2.AsyncClient(transport=transport, base_url=base_url, headers=passed_on, timeout=60) as client:
        yield client
