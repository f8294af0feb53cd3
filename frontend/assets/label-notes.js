// Above the card: answers that wait for the connection, and those that the server will never take, in words.

import { connection } from "./api.js";
import { add, button, fill, h } from "./dom.js";
import { plural } from "./format.js";
import { dismiss, refusals } from "./label-outbox.js";

export function drawNotes(place, unsent) {
  const waiting = !connection.online && unsent > 0;
  const refused = refusals();
  place.hidden = !waiting && !refused.length;
  fill(place);
  if (waiting) {
    const [waits, them] = unsent === 1 ? ["waits", "It is"] : ["wait", "They are"];
    add(place, h("p", `${plural(unsent, "answer")} ${waits} for the connection. ${them} kept in this browser; go on.`));
  }
  for (const one of refused) add(place, refusal(one, () => drawNotes(place, unsent)));
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
