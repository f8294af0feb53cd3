"""Deliveries of webhooks: signed, once, in their time, tried again, held back; and only where they may go."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from backend import work
from backend.db import transaction
from backend.projects.models import Project
from backend.webhooks import delivery, outbox
from backend.webhooks.models import Delivery, Webhook
from tests.backend.webhooks.conftest import BODY, PATH, Receiver, add, deliveries, of, tell, verified
from tests.conftest import Client
from tests.queries import rows_read
from workers.tasks import webhooks


class TestDelivery:
    def test_an_event_arrives_signed(
        self, owner: Client, hook: dict[str, Any], receiver: Receiver, project: Project
    ) -> None:
        """Type, time and data arrive under an id, with a signature that the secret proves; the page tells so."""
        tell(project, item_id="i1")
        webhooks.work()
        (headers, body) = receiver.came[0]
        said = json.loads(body)
        assert (said["type"], said["data"]) == ("label.created", {"item_id": "i1"})
        assert headers["content-type"] == "application/json"
        assert verified(receiver, 0, hook["secret"])
        (one,) = deliveries(owner, hook)
        assert (one["state"], one["tried"], one["attempts"][0]["status"]) == ("delivered", 1, 204)

    def test_only_what_is_listened_to_is_told(self, hook: dict[str, Any], owner: Client, project: Project) -> None:
        """Other events, other projects' events, and events while it is stopped write nothing."""
        with transaction() as session:
            other = Project(name="other")
            session.add(other)
        tell(project, "run.succeeded")
        tell(other)
        owner.patch(f"{PATH}/{hook['id']}", json={"active": False})
        tell(project)
        assert deliveries(owner, hook) == []

    def test_what_did_not_happen_is_not_told(self, owner: Client, hook: dict[str, Any], project: Project) -> None:
        """The message is written in the transaction of the change: when that is rolled back, it goes too."""
        with transaction() as session:
            outbox.tell(session, project.id, "label.created", {})
            session.rollback()
        assert deliveries(owner, hook) == []

    def test_failures_are_tried_again_under_the_same_id(
        self, owner: Client, hook: dict[str, Any], receiver: Receiver, project: Project, later: Callable[..., None]
    ) -> None:
        """A receiver that fails gets the very same message later; until then it is left in peace."""
        receiver.statuses = [500, 200]
        tell(project)
        webhooks.work()
        webhooks.work()
        assert len(receiver.came) == 1
        assert of(owner, hook)["failures"] == 1
        later(delivery.WAITS[0])
        webhooks.work()
        assert [headers["webhook-id"] for headers, _ in receiver.came] == [receiver.came[0][0]["webhook-id"]] * 2
        assert receiver.came[0][1] == receiver.came[1][1]
        (one,) = deliveries(owner, hook)
        assert (one["state"], [attempt["status"] for attempt in one["attempts"]]) == ("delivered", [500, 200])
        assert of(owner, hook)["failures"] == 0

    @pytest.mark.usefixtures("hook")
    def test_a_dead_sender_leaves_its_messages(
        self, receiver: Receiver, project: Project, later: Callable[..., None]
    ) -> None:
        """A worker that took a message and died has it sent by another a while later, not at once as well."""
        tell(project)
        with transaction() as session:
            assert len(delivery.take(session, 5)) == 1
        webhooks.work()
        assert receiver.came == []
        later(delivery.HELD)
        webhooks.work()
        assert len(receiver.came) == 1

    @pytest.mark.usefixtures("hook")
    def test_a_backlog_is_not_looked_through(self, owner: Client, receiver: Receiver, project: Project) -> None:
        """What lies for an address that does not answer costs those that do nothing; its tests are sent."""
        other = add(owner, "https://example.com/hook", "run.failed")
        with transaction() as session:
            row = {"project_id": project.id, "webhook_id": uuid.UUID(other["id"]), "event": "run.failed", "body": "{}"}
            session.execute(insert(Delivery), [row] * 300)
            webhook = session.get_one(Webhook, row["webhook_id"])
            webhook.failures, webhook.quiet_until = 1, work.now() + timedelta(minutes=1)
        tell(project)
        with transaction() as session:
            session.execute(text("SET LOCAL enable_seqscan = off"))
            assert [one.url for one in delivery.take(session, 8)] == [receiver.url]
            assert not delivery.take(session, 8)
            assert not delivery.waits(session)
            assert rows_read(session, "webhook_deliveries") < 50
        owner.post(f"{PATH}/{other['id']}/test")
        with transaction() as session:
            assert [one.url for one in delivery.take(session, 8)] == ["https://example.com/hook"]

    @pytest.mark.usefixtures("hook")
    def test_a_lost_ring_is_made_up_for(self, project: Project, later: Callable[..., None]) -> None:
        """What has been due for a while is seen by beat, and what was sent is not."""
        tell(project)
        later(timedelta(seconds=4))
        with transaction() as session:
            assert delivery.waits(session)
        webhooks.work()
        with transaction() as session:
            assert not delivery.waits(session)

    def test_a_message_is_given_up_and_sent_by_hand(
        self, owner: Client, hook: dict[str, Any], receiver: Receiver, project: Project, later: Callable[..., None]
    ) -> None:
        """After its last attempt a message rests until an owner has it sent again, under the id that it had."""
        receiver.statuses = [500]
        tell(project)
        for wait in (*delivery.WAITS, timedelta(0)):
            webhooks.work()
            later(max(wait, delivery.QUIET))
        (one,) = deliveries(owner, hook)
        assert (one["state"], one["tried"], one["next_at"]) == ("failed", len(delivery.WAITS) + 1, None)
        receiver.statuses = [200]
        owner.patch(f"{PATH}/{hook['id']}", json={"active": True})
        assert owner.post(f"/api/v1/webhook-deliveries/{one['id']}/again").status_code == 202
        webhooks.work()
        (one,) = deliveries(owner, hook)
        assert one["state"] == "delivered"
        assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 1

    def test_days_of_failures_stop_it(
        self, owner: Client, hook: dict[str, Any], receiver: Receiver, project: Project, later: Callable[..., None]
    ) -> None:
        """A receiver that fails for days is told of nothing more; the owner reads why, and can begin again."""
        receiver.statuses = [503]
        for _ in range(delivery.LEAST_FAILURES):
            tell(project)
            webhooks.work()
            assert of(owner, hook)["active"]
            later(timedelta(hours=7))
        later(delivery.STOPPED_AFTER)
        tell(project)
        webhooks.work()
        stopped = of(owner, hook)
        assert not stopped["active"]
        assert "503" in stopped["stopped_because"]
        assert any(event["action"] == "stop" for event in owner.get("/api/v1/audit").json()["items"])
        receiver.statuses = [200]
        assert owner.patch(f"{PATH}/{hook['id']}", json={"active": True}).json()["active"]
        before = len(receiver.came)
        webhooks.work()
        assert len(receiver.came) > before

    def test_an_address_that_is_gone_is_not_asked_again(
        self, owner: Client, hook: dict[str, Any], receiver: Receiver, project: Project
    ) -> None:
        """410 Gone stops the webhook at once."""
        receiver.statuses = [410]
        tell(project)
        webhooks.work()
        assert not of(owner, hook)["active"]

    def test_a_test_is_sent_also_when_stopped(self, owner: Client, hook: dict[str, Any], receiver: Receiver) -> None:
        """So that an owner sees that the receiver works before beginning again; it is tried once."""
        owner.patch(f"{PATH}/{hook['id']}", json={"active": False})
        assert owner.post(f"{PATH}/{hook['id']}/test").status_code == 202
        webhooks.work()
        assert json.loads(receiver.came[0][1])["type"] == "webhook.test"
        receiver.statuses = [500]
        owner.post(f"{PATH}/{hook['id']}/test")
        webhooks.work()
        assert deliveries(owner, hook)[0]["state"] == "failed"

    @pytest.mark.usefixtures("hook")
    def test_a_dead_address_does_not_hold_up_others(self, owner: Client, receiver: Receiver, project: Project) -> None:
        """After one failure the other messages of that address wait, and those of others go."""
        dead = add(owner, "http://127.0.0.1:9/hook", "label.created")
        for _ in range(12):
            tell(project)
        webhooks.work()
        assert len(receiver.came) == 12
        tried = sum(one["tried"] for one in deliveries(owner, dead))
        assert tried <= webhooks.AT_ONCE

    def test_old_messages_are_forgotten(self, owner: Client, hook: dict[str, Any], project: Project) -> None:
        """What was told a month ago is no longer kept."""
        tell(project)
        with transaction() as session:
            row = session.scalars(select(Delivery)).one()
            row.created_at -= delivery.KEPT + timedelta(days=1)
        tell(project)
        with transaction() as session:
            assert delivery.sweep(session) == 1
        assert len(deliveries(owner, hook)) == 1


class TestWaysOut:
    @pytest.mark.parametrize(
        "url",
        ["http://127.0.0.1:1/", "http://[::1]:1/", "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/"],
    )
    def test_private_addresses_are_not_reached(self, owner: Client, project: Project, url: str) -> None:
        """Nobody makes the server ask its own network, a cloud's metadata included: neither by entering such an
        address, nor by one that led elsewhere when it was entered."""
        hook = add(owner, "https://example.com/hook", "label.created")
        for refused in (
            owner.post(PATH, json=BODY | {"url": url}),
            owner.patch(f"{PATH}/{hook['id']}", json={"url": url}),
        ):
            assert (refused.status_code, refused.json()["field"]) == (403, "url")
            assert "PLUMBLINE_ALLOWED_ADDRESSES" in refused.json()["remedy"]
        with transaction() as session:
            session.scalars(select(Webhook)).one().url = url
        tell(project)
        webhooks.work()
        (one,) = deliveries(owner, hook)
        assert "private network" in one["attempts"][0]["error"]

    def test_redirects_are_not_followed(
        self, owner: Client, hook: dict[str, Any], receiver: Receiver, project: Project
    ) -> None:
        """A redirect counts as a failure: what is behind it was not checked."""
        receiver.statuses, receiver.location = [302], receiver.url
        tell(project)
        webhooks.work()
        assert len(receiver.came) == 1
        assert deliveries(owner, hook)[0]["attempts"][0]["status"] == 302
