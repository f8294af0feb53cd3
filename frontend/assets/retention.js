// The rules by which a project lets go weights, answers and exports; what they would remove is shown before they are set.

import { post, put } from "./api.js";
import { button, confirm, errorCard, field, fill, h, showError, toast } from "./dom.js";
import { ago, bytes, count, plural } from "./format.js";
import { isOwner } from "./frame.js";

const RULES = {
  last_checkpoints: ["Checkpoints of each finished run", "latest, and the best", "By the metric that the run itself kept its best by."],
  failed_days: ["Weights of failed and cancelled runs", "days", "Counted from the end of the run. A run that is lost may still come back, and is left alone."],
  answers_days: ["Answers without labels or reports", "days", "Of the arena, and of evaluations that did not succeed. Votes stay counted; answers that became data stay."],
  exports_days: ["Exports", "days", "They can be made again as long as their checkpoint is there."],
};
const WRONG = "Give a whole number from 1 on, or leave it empty to keep all.";
const GONE = {
  last_checkpoints: (number) => `${plural(number, "checkpoint")} of finished runs`,
  failed_days: (number) => `${plural(number, "checkpoint")} of failed and cancelled runs`,
  answers_days: (number) => `the answers of ${plural(number, "match", "matches")}`,
  exports_days: (number) => plural(number, "export"),
};

// retention(rules) -> the card that shows them; owners change them.
export function retention(found) {
  const inputs = Object.fromEntries(Object.keys(RULES).map((name) => [name, h("input", { type: "number", min: 1, max: name === "last_checkpoints" ? 1000 : 3650, step: 1, inputmode: "numeric", placeholder: "keep all", value: found[name] ?? "", readonly: !isOwner })]));
  const fields = Object.fromEntries(Object.entries(RULES).map(([name, [title, unit, help]]) => [name, field(`${title}: keep (${unit})`, inputs[name], { help })]));
  const state = h("p.pl-muted", told(found));
  const preview = h("div", { role: "status" });
  const rules = () => Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim() === "" ? null : Number(input.value)]));
  const fail = (error) => {
    const name = (error.field || "").replace("body.", "");
    if (fields[name]) showError(fields[name], WRONG);
    else fill(preview, errorCard(error));
  };
  const clear = () => Object.values(fields).forEach((one) => showError(one, ""));
  const valid = () => Object.entries(inputs).every(([name, input]) => input.validity.valid || (showError(fields[name], WRONG), false));
  const look = async () => {
    clear();
    if (!valid()) return null;
    try {
      const seen = await post("/retention/preview", rules());
      fill(preview, goes(seen));
      return seen;
    } catch (error) {
      fail(error);
      return null;
    }
  };
  const save = async (event) => {
    event.preventDefault();
    const seen = await look();
    if (!seen) return;
    const wanted = rules();
    const none = Object.values(wanted).every((value) => value === null);
    const text = none ? "Nothing will be removed any more." : `Now they would remove ${seen.goes.filter((one) => one.count).map((one) => GONE[one.rule](one.count)).join(", ") || "nothing"} (${bytes(seen.bytes)}). They are first applied in a day, then daily; what is removed cannot be brought back.`;
    if (!(await confirm("Set these rules?", text, none ? "Keep everything" : "Set the rules"))) return;
    try {
      fill(state, told(await put("/retention", wanted)));
      toast("The rules are set.");
    } catch (error) {
      fail(error);
    }
  };
  return h("section.pl-card.pl-stack", h("h2", "What it lets go"),
    h("p", "An empty rule removes nothing. Weights that a run, an evaluation, an export or another checkpoint refers to, and pinned ones, always stay; the records of what is removed do too."),
    h("form.pl-stack", { onsubmit: save, novalidate: true }, h("div.pl-form", Object.values(fields)), state, preview,
      h("div.pl-row.end", button("Show what would go", look), isOwner ? button("Set the rules", null, { kind: "primary", type: "submit" }) : null)));
}

function told(found) {
  if (!found.set_at) return "No rules were ever set: nothing is removed.";
  return ["Set ", ago(found.set_at), found.set_by ? ` by ${found.set_by}` : "", ". ", found.due_at ? `Applied next ${new Date(found.due_at).toLocaleString()}.` : "Nothing is removed."];
}

function goes({ count: number, goes: all }) {
  if (!number) return h("p", "Nothing would be removed now.");
  return h("ul.pl-lines", all.filter((one) => one.count).map((one) => h("li",
    h("span", h("strong", GONE[one.rule](one.count)), `, ${bytes(one.bytes)}`, one.unmeasured ? ` and ${one.unmeasured} not measured yet` : null),
    one.names.length ? h("small.pl-help", `${one.names.join(", ")}${one.count > one.names.length ? ` and ${count(one.count - one.names.length)} more` : ""}`) : null)));
}
