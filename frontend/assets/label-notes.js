// Above the card: answers that wait for the connection or for a server that fails, and those that it will never take.

import { connection } from "./api.js";
import { button, h } from "./dom.js";
import { plural } from "./format.js";
import { dismiss, refusals } from "./label-outbox.js";

export function drawNotes(place, queue) {
  const note = waiting(queue);
  const refused = refusals();
  place.hidden = !note && !refused.length;
  const old = place.querySelector(":scope > :not([data-refused])");
  if (old?.textContent !== note?.textContent) {
    old?.remove();
    if (note) place.prepend(note);
  }
  drawRefusals(place, refused, () => drawNotes(place, queue));
}

function waiting(queue) {
  const { unsent, stuck } = queue;
  const answers = `${plural(unsent, "answer")} ${unsent === 1 ? "waits" : "wait"}`;
  if (!connection.online && unsent > 0) return h("p", `${answers} for the connection. ${unsent === 1 ? "It is" : "They are"} kept in this browser; go on.`);
  if (!stuck) return null;
  const words = `The server fails to save answers just now: ${answers}. ${unsent === 1 ? "It is" : "They are"} kept in this browser and sent again by itself; go on, and tell whoever runs Plumbline if this stays.`;
  return h("div.pl-row", { role: "alert" }, h("span.pl-grow", words), button("Try now", () => queue.hurry(), { kind: "small" }));
}

// Each stays the element that it is: what somebody opened to read is not closed by the next answer.
function drawRefusals(place, refused, redraw) {
  const shown = new Map([...place.querySelectorAll(":scope > [data-refused]")].map((row) => [row.dataset.refused, row]));
  for (const one of refused) {
    if (!shown.delete(one.answer.client_id)) place.append(refusal(one, redraw));
  }
  for (const row of shown.values()) row.remove();
}

// It stays until the person has seen it, with what they wrote, so that no text of theirs is lost.
function refusal({ answer, why, remedy }, redraw) {
  const written = [answer.rationale, answer.edit && answer.edit.text].filter(Boolean).join("\n\n");
  return h(
    "div.pl-row",
    { role: "alert", dataset: { refused: answer.client_id } },
    h("span.pl-grow", `One answer could not be saved: ${why} ${remedy || ""}`, written && h("details", h("summary", "What you wrote"), h("pre.pl-wrap", written))),
    button("Dismiss", () => { dismiss(answer.client_id); redraw(); }, { kind: "small" }),
  );
}
