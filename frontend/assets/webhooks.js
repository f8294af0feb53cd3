// Webhooks: the addresses that are told what happens in the project, their secrets, and what became of each message.

import { del, get, patch, post } from "./api.js";
import { badge, button, confirm, dialog, empty, field, fill, h, showError, table, toast, toastError } from "./dom.js";
import { ago, plural } from "./format.js";
import { actions } from "./frame.js";
import { live, load } from "./live.js";
import { showOnce } from "./secret.js";

const STATES = { delivered: "good", waiting: "warn", failed: "bad" };
const ONCE = "The receiver checks signatures with it; it cannot be shown again.";

export async function mount(element) {
  const list = h("div.pl-stack");
  const place = h("div.pl-stack");
  let known = { events: [] };
  const refresh = () => load(list, () => get("/webhooks"), (found) => { known = found; draw(list, found, refresh, place); });
  element.append(h("div.pl-page.pl-stack",
    h("p.pl-muted", "Addresses that are told what happens in this project by signed messages. They hold ids, names and numbers, neither prompts nor responses. ", h("a", { href: "/reference" }, "Reference")),
    list, place));
  actions(button("Add a webhook", () => edit(null, known.events, refresh), { kind: "primary" }));
  await refresh();
}

function draw(list, { items, events }, refresh, place) {
  if (!items.length) {
    list.append(empty("No webhooks yet", "Have a program told when a run has ended, a label was made, or a task is complete.", button("Add a webhook", () => edit(null, events, refresh))));
    return;
  }
  for (const one of items) list.append(card(one, events, refresh, place));
}

function card(one, events, refresh, place) {
  const state = one.active ? (one.failures ? badge(`${plural(one.failures, "failure")} in a row`, "warn") : badge("active", "good")) : badge("stopped", "bad");
  const act = (ask, done) => async () => {
    try {
      await ask();
      if (done) toast(done);
    } catch (error) {
      toastError(error);
    }
    await refresh();
  };
  const renew = async () => {
    if (!(await confirm("Make a new secret?", "For 24 hours messages are signed with both, so that the receiver can change over.", "New secret"))) return;
    await act(async () => { const made = await post(`/webhooks/${one.id}/secret`); await showOnce("The new secret", null, made.secret, "Secret"); })();
  };
  const remove = async () => {
    if (await confirm("Delete this webhook?", "Its messages go with it, also those that wait. This cannot be undone.", "Delete")) await act(async () => { await del(`/webhooks/${one.id}`); fill(place); }, "Deleted")();
  };
  const test = async () => {
    try {
      await post(`/webhooks/${one.id}/test`);
      deliveries(place, one);
    } catch (error) {
      toastError(error);
    }
  };
  return h("section.pl-card.pl-stack.tight",
    h("div.pl-row.between", h("strong.pl-mono.pl-wrap", one.url), state),
    one.description ? h("p.pl-muted", one.description) : null,
    h("div.pl-row", one.events.map((name) => badge(name))),
    one.stopped_because ? h("p", { role: "alert" }, `Nothing is sent any more. ${one.stopped_because}`) : null,
    one.failing_since && one.active ? h("p.pl-muted", "Failing since ", ago(one.failing_since), ".") : null,
    one.former_until && new Date(one.former_until) > new Date() ? h("p.pl-muted", `The secret before signs too until ${new Date(one.former_until).toLocaleString()}.`) : null,
    h("div.pl-row",
      button("Messages", () => deliveries(place, one), { kind: "small" }),
      button("Send a test", test, { kind: "small" }),
      button("Change", () => edit(one, events, refresh), { kind: "small" }),
      button("New secret", renew, { kind: "small" }),
      one.active ? button("Stop", act(() => patch(`/webhooks/${one.id}`, { active: false }), "Stopped"), { kind: "small" }) : button("Begin again", act(() => patch(`/webhooks/${one.id}`, { active: true }), "It is sent what waits."), { kind: "small" }),
      button("Delete", remove, { kind: "small" })));
}

let watching = null;

function deliveries(place, one) {
  watching?.stop();
  const rows = h("div");
  const more = h("div.pl-row");
  fill(place, h("section.pl-stack.tight", h("h2", "Messages to ", h("span.pl-mono", new URL(one.url).host)), rows, more));
  place.scrollIntoView({ block: "nearest" });
  let older = [];
  const show = (found, next) => {
    fill(rows, table("Messages", columns(() => watching.now()), [...found, ...older], { none: "Nothing was told yet." }));
    fill(more, next && button("Older messages", async () => {
      const page = await get(`/webhooks/${one.id}/deliveries`, { cursor: next });
      older = [...older, ...page.items];
      show(found, page.next_cursor);
    }));
  };
  watching = live(async () => {
    const page = await get(`/webhooks/${one.id}/deliveries`);
    if (!older.length) show(page.items, page.next_cursor);
    return page.items.some((row) => row.state === "waiting") && place.isConnected;
  }, { seconds: 2 });
}

const said = (attempt) => (attempt ? (attempt.error ?? `answered ${attempt.status}`) : "not sent yet");

const columns = (look) => [
  { title: "Event", cell: (row) => h("span.pl-mono", row.event) },
  { title: "Told", cell: (row) => ago(row.created_at) },
  { title: "State", cell: (row) => [badge(row.state, STATES[row.state]), row.next_at && row.tried ? ` again ${new Date(row.next_at).toLocaleTimeString()}` : null] },
  { title: "Last attempt", cell: (row) => said(row.attempts.at(-1)) },
  { title: "Attempts", cell: (row) => String(row.attempts.length), kind: "number" },
  { title: "Actions", cell: (row) => h("div.pl-row", button("Look", () => look_at(row), { kind: "small" }), row.attempts.length ? button("Send again", () => again(row, look), { kind: "small" }) : null) },
];

async function again(row, look) {
  try {
    await post(`/webhook-deliveries/${row.id}/again`);
    toast("On its way again.");
  } catch (error) {
    toastError(error);
  }
  look();
}

function look_at(row) {
  return dialog(row.event, () => [
    h("pre.pl-mono.pl-wrap", JSON.stringify(row.body, null, 2)),
    table("Attempts", [
      { title: "When", cell: (attempt) => new Date(attempt.at).toLocaleString() },
      { title: "What came", cell: said },
      { title: "Seconds", cell: (attempt) => attempt.seconds.toFixed(2), kind: "number" },
    ], row.attempts, { none: "Not sent yet." }),
  ], { wide: true });
}

function edit(known, events, refresh) {
  return dialog(known ? "Change the webhook" : "Add a webhook", (close) => {
    const url = field("Address", h("input", { type: "url", value: known?.url ?? "", maxlength: 2000, autocomplete: "off", required: true }), { help: "A public http or https address; it is asked by POST." });
    const description = field("What it is for", h("input", { value: known?.description ?? "", maxlength: 200, autocomplete: "off" }));
    const boxes = events.map((one) => h("input", { type: "checkbox", value: one.name, checked: known ? known.events.includes(one.name) : false }));
    const chosen = h("fieldset.pl-fieldset", h("legend", "Told of"), events.map((one, place) => h("label.pl-check", boxes[place], h("span", h("span.pl-mono", one.name), " ", h("span.pl-muted", one.says)))), h("small.pl-field-error", { role: "alert" }));
    const places = { url, description, events: chosen };
    const send = async (event) => {
      event.preventDefault();
      Object.values(places).forEach((one) => showError(one, ""));
      const body = { url: url.querySelector("input").value, description: description.querySelector("input").value, events: boxes.filter((box) => box.checked).map((box) => box.value) };
      if (!body.events.length) return showError(chosen, "Choose at least one event.");
      try {
        const made = known ? await patch(`/webhooks/${known.id}`, body) : await post("/webhooks", body);
        close();
        if (!known) await showOnce(`The secret of this webhook. ${ONCE}`, null, made.secret, "Secret");
        return await refresh();
      } catch (error) {
        return showError(places[error.field?.split(".")[0]] ?? url, [error.detail, error.remedy].filter(Boolean).join(" "));
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true, autocomplete: "off" }, url, description, chosen,
      h("div.pl-row.end", button("Cancel", () => close()), button(known ? "Change" : "Add", null, { kind: "primary", type: "submit" })));
  });
}
