"""Checks of the ways in and out: web server, addresses, cookies, proxies, sign-in provider, hub, metrics."""

import ipaddress
import os

from backend.identities.provider import Refused, configured
from backend.presets.machine import hub_state
from backend.settings import Settings
from plumbline.check.said import Said, ok, problem, warning
from plumbline.check.scene import Scene
from plumbline.services import PortTaken, check_port
from plumbline.up import answers

LOCAL = {"localhost", "127.0.0.1", "[::1]", "::1"}
SHORT_TOKEN = 16


def web(scene: Scene) -> Said:
    """That the web server answers where it runs, or could be started."""
    settings = scene.settings
    if answers(settings):
        if answers(settings, "/health/ready"):
            return ok(f"It answers on port {settings.port}, and what it needs answers too.")
        return problem(
            f"It answers on port {settings.port}, but says that it is not ready.",
            "Mend what the other checks say of database, broker and storage; see logs/web.log.",
        )
    if scene.running is not None:
        return problem(f"It does not answer on port {settings.port}.", "See logs/web.log of the data folder.")
    try:
        check_port(settings)
    except PortTaken as taken:
        return problem("It does not run here, and could not be started.", str(taken))
    return ok("It does not run on this machine; its port is free.")


def outside(settings: Settings) -> list[str]:
    """The names by which others may open it."""
    return [name for name in settings.allowed_hosts if name.lower() not in LOCAL]


def cookies(scene: Scene) -> Said:
    """That the session's cookie fits the way people come: HTTPS, or this machine alone."""
    settings = scene.settings
    names = outside(settings)
    if names and not settings.secure_cookies:
        return warning(
            f"People may open it as {', '.join(names[:3])}, and their sign-in may go over plain HTTP.",
            "Put HTTPS in front, and set PLUMBLINE_SECURE_COOKIES=true.",
        )
    if not names and settings.secure_cookies:
        return warning(
            "Cookies are for HTTPS only, but it answers to names of this machine only.",
            "Name the address that people type in PLUMBLINE_ALLOWED_HOSTS, or unset PLUMBLINE_SECURE_COOKIES.",
        )
    if names:
        return ok(f"People open it as {', '.join(names[:3])}; their cookies go over HTTPS only.")
    return ok("It answers to names of this machine only.")


def proxies(scene: Scene) -> Said | None:
    """That addresses of people are believed from the proxy alone."""
    given = os.environ.get("FORWARDED_ALLOW_IPS", "")
    parts = [part.strip() for part in given.split(",") if part.strip()]
    if "*" in parts:
        return problem(
            "FORWARDED_ALLOW_IPS is *: whoever reaches the port chooses the address that they are counted under.",
            "Name the proxy's address or network instead.",
        )
    wrong = [part for part in parts if not _network(part)]
    if wrong:
        return warning(
            f"FORWARDED_ALLOW_IPS names {wrong[0][:60]}, which is no address and no network.",
            "Write addresses or networks, with commas.",
        )
    if parts:
        return ok("Addresses of people are taken from the proxy that FORWARDED_ALLOW_IPS names.")
    if outside(scene.settings) and scene.settings.secure_cookies and not _loopback(scene.settings.host):
        return warning(
            "A proxy on another machine or in another container is not named, so all people share its address.",
            "Name it in FORWARDED_ALLOW_IPS of the web server.",
        )
    return ok("Only a proxy on this machine is believed.")


def _network(part: str) -> bool:
    try:
        ipaddress.ip_network(part, strict=False)
    except ValueError:
        return False
    return True


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def provider(scene: Scene) -> Said | None:
    """That the sign-in provider is named whole, answers, and lets in whom it should."""
    settings = scene.settings
    given = [settings.oidc_issuer is not None, settings.oidc_client_id is not None]
    if not any(given):
        return None
    if not all(given):
        name = "PLUMBLINE_OIDC_CLIENT_ID" if given[0] else "PLUMBLINE_OIDC_ISSUER"
        return problem(
            f"A sign-in provider is half configured: {name} is missing.", f"Set {name}, or unset the others."
        )
    found = configured(settings)
    if found is None:
        return ok("The sign-in provider is switched off: this machine stays offline.")
    try:
        found.look()
    except Refused as refused:
        return problem(refused.detail, "Look at PLUMBLINE_OIDC_ISSUER, at the provider, and at the network.")
    if settings.oidc_accounts == "created" and not settings.oidc_domains:
        return warning(
            "Everybody who has an account at the sign-in provider gets one here.",
            "Name the domains of those who should in PLUMBLINE_OIDC_DOMAINS.",
        )
    return ok("The sign-in provider answers, and publishes its keys.")


def hub(_: Scene) -> Said:
    """That models can be fetched, or are not meant to be."""
    state = hub_state()
    if state == "offline":
        return ok("This machine is told to stay offline; no hub is asked.")
    if state == "reachable":
        return ok("The model hub answers.")
    return warning(
        "The model hub does not answer.",
        "Look at the network or at HF_ENDPOINT; where none is meant to be reached, set PLUMBLINE_OFFLINE=true.",
    )


def metrics(scene: Scene) -> Said:
    """That the numbers are for those who watch."""
    token = scene.settings.metrics_token
    if token is None or not token.get_secret_value():
        return ok("Programs on this machine may read /metrics, nobody else.")
    if len(token.get_secret_value()) < SHORT_TOKEN:
        return warning("PLUMBLINE_METRICS_TOKEN is short enough to be guessed.", "Make one: openssl rand -hex 24")
    return ok("/metrics asks for its token.")
