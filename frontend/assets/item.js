// One item for whoever leads the labelling: its texts, every label in every version, its known answer, what happened to it.

import { del, get, post, put } from "./api.js";
import { badge, button, confirm, dialog, empty, field, h, link, showError, table, toast, toastError } from "./dom.js";
import { ago, count, number } from "./format.js";
import { actions, param, title } from "./frame.js";
import { history } from "./item-history.js";
import { valueEditor } from "./item-value.js";
import { itemCard, verdict } from "./items.js";
import { load } from "./live.js";
import { KINDS_OF } from "./task-words.js";

// What is known of an item answers what tasks ask about such items first.
const QUESTION = Object.fromEntries(Object.entries(KINDS_OF).map(([kind, [first]]) => [kind, first]));

export async function mount(element) {
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  const id = param("id");
  if (!id) {
    page.append(empty("Which item?", "The address names none.", link("All tasks", "/tasks", "pl-button primary")));
    return;
  }
  const refresh = () => load(page, () => read(encodeURIComponent(id)), (found) => draw(page, found, refresh));
  await refresh();
}

async function read(id) {
  const [item, labels] = await Promise.all([get(`/items/${id}`), get(`/items/${id}/labels`)]);
  return { item, labels: labels.items };
}

function draw(page, { item, labels }, refresh) {
  title(`Item #${item.position + 1} of “${item.dataset_name}”`);
  const task = param("task");
  actions(
    task ? link("Back to the task", `/task?id=${encodeURIComponent(task)}&view=items`, "pl-button") : link("All items", `/dataset?id=${item.dataset_id}`, "pl-button"),
    item.withdrawn_at ? button("Restore", () => turn(item, "restore", refresh)) : button("Withdraw", () => turn(item, "withdraw", refresh)),
    QUESTION[item.kind] ? button(item.gold ? "Change the gold" : "Make it gold", () => setGold(item, refresh), { kind: "primary" }) : null,
  );
  page.append(
    item.withdrawn_at ? h("div.pl-card.warn", h("strong", "Withdrawn "), ago(item.withdrawn_at), item.withdrawn_reason ? `: ${item.withdrawn_reason}` : ".", h("p.pl-muted", "It is handed out to nobody and left out of snapshots; its labels stay.")) : "",
    itemCard({ ...item, labels: standing(labels) }, h("span.pl-muted", `#${count(item.position + 1)}`), badge(item.split), link(item.dataset_name, `/dataset?id=${item.dataset_id}`)),
    item.gold ? gold(item, refresh) : "",
    h("section.pl-stack.tight", h("h2", "Every label"), table("Labels of this item", COLUMNS, labels, { none: "Nobody has said anything about it yet." })),
    history(item.id),
  );
}

// Of each person the newest version counts.
function standing(labels) {
  const newest = new Map();
  for (const one of labels) newest.set(one.annotator_id || one.id, one);
  return [...newest.values()].filter((one) => !one.value.retracted);
}

const aspects = (one) => Object.entries(one.aspects || {}).map(([name, ratings]) => h("div", `${name.replaceAll("_", " ")}: ${ratings.join(" / ")}`));

const COLUMNS = [
  { title: "By", cell: (one) => [h("strong", one.annotator || one.source), one.annotator && one.source !== "person" ? [" ", badge(one.source)] : null] },
  { title: "Says", cell: (one) => [h("span.pl-snug", verdict(one.value, one.source)), one.surplus ? [" ", badge("surplus", "warn")] : null, one.aided ? [" ", badge("saw a suggestion")] : null] },
  { title: "Ratings", cell: aspects, hint: "In the item's own order of responses" },
  { title: "Reason", cell: (one) => h("span.pl-wrap", one.rationale || one.value.skip || "") },
  { title: "Seconds", kind: "number", cell: (one) => number(one.seconds, 3) },
  { title: "Version", kind: "number", cell: (one) => count(one.version) },
  { title: "When", cell: (one) => ago(one.created_at) },
];

function gold(item, refresh) {
  return h("section.pl-card.good.pl-stack.tight", h("h2", "Known answer"), h("p", verdict(item.gold.value, "person"), item.gold.note ? h("span.pl-muted", ` · ${item.gold.note}`) : null),
    h("p.pl-muted", "Mixed in unseen among the cards of tasks with a gold share. Nobody who labels sees which items are gold."),
    h("div.pl-row", button("Take the gold away", async () => {
      if (!(await confirm("Take the known answer away?", "The item is an ordinary one again. What people said of it no longer counts towards their gold accuracy.", "Take it away"))) return;
      await act(() => del(`/items/${item.id}/gold`), "It is an ordinary item again.", refresh);
    }, { kind: "small" })));
}

export function setGold(item, refresh) {
  return dialog(item.gold ? "Change the known answer" : "Make it a gold item", (close) => {
    const editor = valueEditor({ kind: QUESTION[item.kind], responses: item.responses.length, value: item.gold?.value });
    const note = field("Note", h("input", { maxlength: 500, value: item.gold?.note || "" }), { help: "Why this is the answer: for you and other leads." });
    const send = async (event) => {
      event.preventDefault();
      showError(note, "");
      try {
        await put(`/items/${item.id}/gold`, { value: editor.value(), note: note.querySelector("input").value.trim() });
        close();
        toast("It is a gold item now.");
        await refresh();
      } catch (error) {
        showError(note, [error.detail, error.remedy].filter(Boolean).join(" "));
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true }, h("p.pl-muted", "First and second are the item's own order, as this page shows it; people see either on the left."), editor.element, note,
      h("div.pl-row.end", button("Cancel", () => close()), button("Save", null, { kind: "primary", type: "submit" })));
  });
}

function turn(item, verb, refresh) {
  const out = verb === "withdraw";
  return dialog(out ? "Withdraw this item" : "Restore this item", (close) => {
    const reason = field("Reason", h("input", { maxlength: 500, required: out }), { help: out ? "What is wrong with it: it stays in the item's history." : "May stay empty." });
    const send = async (event) => {
      event.preventDefault();
      try {
        await post(`/items/${item.id}/${verb}`, { reason: reason.querySelector("input").value });
        close();
        toast(out ? "Withdrawn." : "Restored.");
        await refresh();
      } catch (error) {
        showError(reason, [error.detail, error.remedy].filter(Boolean).join(" "));
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true },
      h("p", out ? "Nobody gets it as a card any more, and snapshots leave it out. Its labels stay, and it can be restored." : "It is handed out again, and snapshots hold it again."), reason,
      h("div.pl-row.end", button("Cancel", () => close()), button(out ? "Withdraw" : "Restore", null, { kind: "primary", type: "submit" })));
  });
}

async function act(ask, done, refresh) {
  try {
    await ask();
    toast(done);
  } catch (error) {
    toastError(error);
  }
  await refresh();
}
