"""Webhooks: what happens arrives, signed, whatever the receiver does meanwhile, and leads nowhere that it may not."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from backend import work
from backend.accounts.models import Role
from backend.datasets.models import Dataset, Import, Item, Kind, Upload
from backend.db import transaction
from backend.evaluations.models import Evaluation
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.projects.models import Project
from backend.redaction import redacted
from backend.runs.models import Run
from backend.webhooks import delivery, outbox, service, signing
from backend.webhooks.models import Delivery, DeliveryState, Webhook
from tests.backend.labels.conftest import MakePairs, send
from tests.backend.tasks.conftest import deal, make_task
from tests.backend.webhooks.conftest import Receiver, add
from tests.conftest import Client
from tests.queries import rows_read
from workers.tasks import webhooks

PATH = "/api/v1/webhooks"
BODY = {"url": "https://example.com/hook", "events": ["label.created"]}


@pytest.fixture
def project(owner: Client) -> Project:
    with transaction() as session:
        return session.scalars(select(Project)).one()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Turns the clock of deliveries forward."""

    passed = timedelta(0)

    def turn(by: timedelta) -> None:
        nonlocal passed
        passed += by

        def ahead(by: timedelta = passed) -> datetime:
            return work.now() + by

        monkeypatch.setattr(delivery, "now", ahead)
        monkeypatch.setattr(service, "now", ahead)

    return turn


def tell(project: Project, event: str = "label.created", **data: Any) -> None:
    with transaction() as session:
        outbox.tell(session, project.id, event, data)


def deliveries(client: Client, hook: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.get(f"{PATH}/{hook['id']}/deliveries")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def of(client: Client, hook: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in client.get(PATH).json()["items"] if one["id"] == hook["id"])


class TestRights:
    ROUTES = (
        ("get", ""),
        ("post", ""),
        ("patch", "/{id}"),
        ("delete", "/{id}"),
        ("post", "/{id}/secret"),
        ("post", "/{id}/test"),
        ("get", "/{id}/deliveries"),
    )

    @pytest.mark.parametrize(("method", "path"), ROUTES)
    def test_signed_out(self, anonymous: Client, method: str, path: str) -> None:
        """Nobody sees or changes webhooks without a session."""
        assert anonymous.request(method, PATH + path.format(id=uuid.uuid4()), json=BODY).status_code == 401

    @pytest.mark.parametrize(("method", "path"), ROUTES)
    def test_owners_alone(self, researcher: Client, hook: dict[str, Any], method: str, path: str) -> None:
        """A researcher may neither see where the project's events go nor lead them elsewhere."""
        assert researcher.request(method, PATH + path.format(id=hook["id"]), json=BODY).status_code == 403

    @pytest.mark.parametrize(("method", "path"), ROUTES[2:])
    def test_other_projects(
        self, make_client: Callable[..., Client], hook: dict[str, Any], method: str, path: str
    ) -> None:
        """Another project's owner finds nothing under the id, nor under the id of a delivery."""
        with transaction() as session:
            other = Project(name="other")
            session.add(other)
        stranger = make_client(Role.owner, project=other)
        body = {"active": False} if method == "patch" else None
        assert stranger.request(method, PATH + path.format(id=hook["id"]), json=body).status_code == 404
        own = make_client(Role.owner)
        sent = own.post(f"{PATH}/{hook['id']}/test").json()
        assert stranger.post(f"/api/v1/webhook-deliveries/{sent['id']}/again").status_code == 404

    def test_expiring_tokens_open_no_way_out(self, owner: Client, anonymous: Client) -> None:
        """A webhook would outlast the token that made it."""
        token = owner.post("/api/v1/me/tokens", json={"name": "short", "days": 1}).json()["token"]
        headers = {"authorization": f"Bearer {token}"}
        assert anonymous.post(PATH, json=BODY, headers=headers).status_code == 403
        assert anonymous.get(PATH, headers=headers).status_code == 200


class TestInput:
    @pytest.mark.parametrize(
        "change",
        [
            {"url": "ftp://example.com"},
            {"url": "https://"},
            {"url": "https://user:pw@example.com/"},
            {"url": "https://example.com/#part"},
            {"url": "https://exa mple.com/"},
            {"url": "https://example.com:0/"},
            {"url": "https://example.com\\@evil.example/"},
            {"url": "javascript:alert(1)"},
            {"url": "https://example.com/" + "a" * 2000},
            {"events": []},
            {"events": ["label.*"]},
            {"events": ["webhook.test"]},
            {"events": ["label.created"] * 51},
            {"description": "x" * 201},
            {"secret": "whsec_mine"},
        ],
    )
    def test_bad_webhooks_are_refused(self, owner: Client, change: dict[str, Any]) -> None:
        """Addresses that are none, or hold credentials, and events that there are not."""
        assert owner.post(PATH, json=BODY | change).status_code == 422

    def test_not_too_many(self, owner: Client) -> None:
        """A project has a bounded number, as each event is written once for each."""
        for _ in range(service.MOST):
            add(owner, "https://example.com/hook", "label.created")
        refused = owner.post(PATH, json=BODY)
        assert (refused.status_code, refused.json()["title"]) == (409, "Too many webhooks")


class TestSecrets:
    def test_a_signature_is_that_of_the_standard(self) -> None:
        """The example that Standard Webhooks publishes."""
        secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
        found = signing.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, secret)
        assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_a_secret_is_shown_once(self, owner: Client, hook: dict[str, Any]) -> None:
        """Neither a route, the audit log nor a log line tells it again, and it does not lie open in the database."""
        secret = hook["secret"]
        assert secret.startswith("whsec_")
        assert secret not in owner.get(PATH).text
        assert secret not in owner.get("/api/v1/audit").text
        assert secret not in redacted(f"sent {secret}")
        with transaction() as session:
            row = session.scalars(select(Webhook)).one()
            assert secret.encode() not in row.sealed
            assert service.secrets(row) == [secret]

    def test_for_a_day_both_secrets_sign(
        self, owner: Client, hook: dict[str, Any], receiver: Receiver, project: Project, later: Callable[..., None]
    ) -> None:
        """After a change the receiver may check with either secret; a day later with the new one alone."""
        fresh = owner.post(f"{PATH}/{hook['id']}/secret").json()["secret"]
        assert fresh != hook["secret"]
        tell(project)
        webhooks.work()
        assert verified(receiver, -1, fresh)
        assert verified(receiver, -1, hook["secret"])
        later(service.BOTH_VALID + timedelta(seconds=1))
        tell(project)
        webhooks.work()
        assert verified(receiver, -1, fresh)
        assert not verified(receiver, -1, hook["secret"])


def verified(receiver: Receiver, place: int, secret: str) -> bool:
    """Whether a receiver that holds the secret would take the message."""
    headers, body = receiver.came[place]
    expected = signing.signature(headers["webhook-id"], int(headers["webhook-timestamp"]), body, secret)
    return expected in headers["webhook-signature"].split(" ")


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


class TestEvents:
    def test_labels_and_their_end(self, hook: dict[str, Any], owner: Client, project: Project) -> None:
        """A label that is stored is told with its value in the item's order, one that is taken back as such."""
        with transaction() as session:
            dataset = Dataset(project_id=project.id, name="d", kind=Kind.paired)
            session.add(dataset)
            session.flush()
            hashes = {"prompt_hash": "p", "content_hash": "c"}
            item = Item(
                project_id=project.id,
                dataset_id=dataset.id,
                position=0,
                split="train",
                prompt=[],
                responses=[],
                **hashes,
            )
            session.add(item)
            session.flush()
            outside = {"annotator": "ada@example.com", "origin": "person"}
            for value in (
                {"strength": 2},
                {"retracted": True},
                {"skip": "she wrote why"} | outside,
                {"thumb": True} | outside,
            ):
                label = Label(
                    project_id=project.id, item_id=item.id, dataset_id=dataset.id, source=LabelSource.judge, value=value
                )
                session.add(label)
                tallies.note(session, label)
        thumb, skip, taken, made = deliveries(owner, hook)
        assert skip["body"]["data"]["value"] == {"skip": True}  # what people wrote, and who they are, stays here
        assert thumb["body"]["data"]["value"] == {"thumb": True}
        assert (made["event"], made["body"]["data"]["value"]) == ("label.created", {"strength": 2})
        assert made["body"]["data"]["item_id"] == str(item.id)
        assert taken["event"] == "label.retracted"

    def test_every_end_of_work_is_told_once(self, owner: Client, project: Project) -> None:
        """Ends of runs, imports and evaluations name an event that there is; a second end tells nothing."""
        for table in (Run, Evaluation, Import):
            assert set(table.TOLD.values()) <= outbox.EVENTS.keys()
        hook = add(owner, "https://example.com/hook", "dataset.imported")
        with transaction() as session:
            upload = Upload(project_id=project.id, filename="f", size=1, sha256="0" * 64, path="uploads/x")
            session.add(upload)
            session.flush()
            row = Import(project_id=project.id, upload_id=upload.id, name="mine", format="native")
            session.add(row)
            session.flush()
            work.finish(row, work.State.succeeded)
            work.finish(row, work.State.failed, "too late")
        (one,) = deliveries(owner, hook)
        assert (one["event"], one["body"]["data"]["name"]) == ("dataset.imported", "mine")
        assert one["state"] == DeliveryState.waiting

    @pytest.mark.parametrize("way", ["overlap", "withdrawn"])
    def test_a_task_is_completed_another_way(
        self, owner: Client, annotator: Client, make_pairs: MakePairs, way: str
    ) -> None:
        """A task whose last open item is withdrawn, or wants no more as the overlap is lowered, is told of once."""
        hook = add(owner, "https://example.com/hook", "task.completed")
        task = make_task(owner, make_pairs(2), overlap=2 if way == "overlap" else 1)
        cards = deal(annotator, task, 2)
        send(annotator, cards[0])
        if way == "overlap":
            send(annotator, cards[1])
            assert deliveries(owner, hook) == []
            owner.patch(f"/api/v1/tasks/{task['id']}", json={"overlap": 1})
            owner.patch(f"/api/v1/tasks/{task['id']}", json={"name": "Other"})
        else:
            assert deliveries(owner, hook) == []
            for card in (cards[1], cards[0]):
                answer = owner.post(f"/api/v1/items/{card['item_id']}/withdraw", json={"reason": "twice"})
                assert answer.status_code == 200
        (one,) = deliveries(owner, hook)
        assert (one["event"], one["body"]["data"]["id"]) == ("task.completed", task["id"])

    def test_a_task_is_completed_and_closed_once(self, owner: Client, annotator: Client, make_pairs: MakePairs) -> None:
        """The last label that a task wanted is told as such, and closing it twice is closing it once."""
        hook = add(owner, "https://example.com/hook", "task.completed", "task.closed")
        task = make_task(owner, make_pairs(2))
        for card in deal(annotator, task, 2):
            assert deliveries(owner, hook) == []
            send(annotator, card)
        owner.post(f"/api/v1/tasks/{task['id']}/close")
        owner.post(f"/api/v1/tasks/{task['id']}/close")
        told = [(one["event"], one["body"]["data"]["id"]) for one in deliveries(owner, hook)]
        assert told == [("task.closed", task["id"]), ("task.completed", task["id"])]
