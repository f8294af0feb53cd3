// Above the card: answers that wait for the connection or for a server that fails, and those that it will never take.

import { connection } from "./api.js";
import { add, button, fill, h } from "./dom.js";
import { plural } from "./format.js";
import { dismiss, refusals } from "./label-outbox.js";

export function drawNotes(place, queue) {
  const { unsent, stuck } = queue;
  const waiting = !connection.online && unsent > 0;
  const refused = refusals();
  place.hidden = !waiting && !stuck && !refused.length;
  fill(place);
  const [waits, them] = unsent === 1 ? ["waits", "It is"] : ["wait", "They are"];
  if (waiting) add(place, h("p", `${plural(unsent, "answer")} ${waits} for the connection. ${them} kept in this browser; go on.`));
  else if (stuck) {
    const words = `The server fails to save answers just now: ${plural(unsent, "answer")} ${waits}. ${them} kept in this browser and sent again by itself; go on, and tell whoever runs Plumbline if this stays.`;
    add(place, h("div.pl-row", { role: "alert" }, h("span.pl-grow", words), button("Try now", () => queue.hurry(), { kind: "small" })));
  }
  for (const one of refused) add(place, refusal(one, () => drawNotes(place, queue)));
}

// It stays until the person has seen it, with what they wrote, so that no text of theirs is lost.
function refusal({ answer, why, remedy }, redraw) {
  const written = [answer.rationale, answer.edit && answer.edit.text].filter(Boolean).join("\n\n");
  return h(
    "div.pl-row",
    { role: "alert" },
    h("span.pl-grow", `One answer could not be saved: ${why} ${remedy || ""}`, written && h("details", h("summary", "What you wrote"), h("pre.pl-wrap", written))),
    button("Dismiss", () => { dismiss(answer.client_id); redraw(); }, { kind: "small" }),
  );
}
