// A chat template as one gives it: written, tried in the server's sandbox, shown as the model would read it.

import { post } from "./api.js";
import { button, field, fill, h, link, showError, skeleton } from "./dom.js";
import { checkpointPage } from "./run-state.js";

// `where` names whose special tokens count: {checkpoint_id}, {folder}, or nothing. `value()` is what was written.
export function templateEditor(where = {}) {
  const text = h("textarea.pl-mono", { rows: 8, maxlength: 64000, spellcheck: "false", placeholder: "{% for message in messages %}…{% endfor %}" });
  const input = field("Chat template", text, { help: "Jinja, as in chat_template.jinja of a model of the same family." });
  const shown = h("div.pl-stack.tight");
  const fail = (error) => showError(input, [error.detail, error.remedy].filter(Boolean).join(" "));
  const attempt = async () => {
    showError(input, "");
    fill(shown, skeleton(3));
    try {
      fill(shown, drawn(await post("/chat-templates/check", { chat_template: text.value, ...where })));
    } catch (error) {
      fill(shown);
      fail(error);
    }
  };
  const element = h("div.pl-stack.tight", input, h("div.pl-row", button("Try it", attempt, { kind: "small" }), h("span.pl-muted", "on sample dialogues; nothing is stored")), shown);
  return { element, fail, value: () => text.value };
}

const drawn = ({ samples, warnings }) => [
  warnings.length ? h("ul.pl-findings", warnings.map((one) => h("li.warning", one))) : null,
  samples.map((one) => h("figure.pl-sample", h("figcaption.pl-muted", one.title), h("pre.pl-mono", one.text))),
];

// Models that a run could start from, had they a chat template: each is a link to where it is given one.
export const templatesWanted = (checkpoints) => {
  const links = checkpoints.slice(0, 3).map((one, index) => [index ? ", " : null, link(one.name, checkpointPage(one.id))]);
  const more = checkpoints.length > links.length ? ` and ${checkpoints.length - links.length} more` : null;
  return checkpoints.length ? h("p.pl-muted", "A run can start from these once they have a chat template: ", links, more, ".") : null;
};
