"""Sends what webhooks are to be told: signed, to checked addresses alone, several at once so that none waits long."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import structlog

from backend import outbound
from backend.db import transaction
from backend.errors import AppError
from backend.settings import get_settings
from backend.webhooks import delivery, signing
from backend.webhooks.delivery import Outcome, Outgoing
from workers import shutdown

log = structlog.get_logger()

AT_ONCE = 8
READ_SECONDS = 10.0
WHOLE_SECONDS = 20.0  # also of an answer that comes drop by drop
REDIRECTED = range(300, 400)


def work() -> None:
    """Send all that is due, until nothing is or the worker is told to stop."""
    with ThreadPoolExecutor(AT_ONCE, "webhook") as pool:
        while not shutdown.asked():
            with transaction() as session:
                due = delivery.take(session, AT_ONCE)
            if not due:
                return
            for message, outcome in zip(due, pool.map(send, due), strict=True):
                with transaction() as session:
                    delivery.note(session, message, outcome)


def send(message: Outgoing) -> Outcome:
    """One attempt. Of the answer nothing but its status is read."""
    settings, began = get_settings(), time.monotonic()
    headers = signing.headers(message.message_id, int(time.time()), message.body, message.secrets)
    headers |= {"content-type": "application/json"}
    status, error = None, None
    with outbound.client(settings.allowed_addresses, READ_SECONDS, offline=settings.offline) as client:
        end = threading.Timer(WHOLE_SECONDS, client.close)
        end.daemon = True
        end.start()
        try:
            with client.stream("POST", message.url, content=message.body, headers=headers) as answer:
                status = answer.status_code
        except AppError as refused:
            error = refused.detail
        except httpx2.TimeoutException:
            error = "It did not answer in time."
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError) as cause:
            error = f"It could not be reached ({type(cause).__name__})."
        finally:
            end.cancel()
    return Outcome(status, error, time.monotonic() - began)
