// A configuration of TRL or LLaMA-Factory, pasted: what it becomes here, what was understood, ignored and assumed.

import { post } from "./api.js";
import { button, dialog, errorCard, field, fill, h, table } from "./dom.js";

// onuse(found) takes the converted run over into the form.
export function convertDialog(onuse) {
  dialog("From a configuration of TRL or LLaMA-Factory", (close) => {
    const text = h("textarea.pl-mono", { rows: 10, maxlength: 100000, spellcheck: false, placeholder: "beta: 0.1\nlearning_rate: 5.0e-7\nper_device_train_batch_size: 4\n…\n\nor: trl dpo --beta 0.1 …" });
    const devices = h("input", { type: "number", min: 1, max: 4096, value: 1 });
    const found = h("div.pl-stack", { "aria-live": "polite" });
    const go = button("Convert", async () => {
      go.classList.add("busy");
      try {
        fill(found, shown(await post("/runs/convert", { text: text.value, devices: Number(devices.value) || 1 }), (run) => { close(); onuse(run); }));
      } catch (error) {
        fill(found, errorCard(error));
      } finally {
        go.classList.remove("busy");
      }
    }, { kind: "primary" });
    return h("div.pl-stack.pl-convert", field("YAML, JSON or the command line", text),
      h("div.pl-row.between", field("Devices it was meant for", devices), go), found);
  });
}

function shown(found, use) {
  const word = (value) => h("span.pl-mono.pl-wrap", typeof value === "string" ? value : JSON.stringify(value));
  const part = (title, rows, columns) => (rows.length ? h("details", { open: title.startsWith("Assumed") }, h("summary", `${title} (${rows.length})`), table(title, columns, rows)) : null);
  const missing = [
    found.checkpoint && !found.checkpoint_id ? `the checkpoint ${found.checkpoint} is not here: fetch or register it` : null,
    ...found.data.filter((one) => !one.dataset_id).map((one) => `the data ${one.name} are not here: import them`),
  ].filter(Boolean);
  return [
    h("p", `A configuration of ${found.tool}.`, missing.length ? ` To do: ${missing.join("; ")}.` : ""),
    part("Assumed, since it does not say", found.differs, [{ title: "Field", cell: (one) => word(one.field) }, { title: "Value", cell: (one) => word(one.value) }, { title: "Ours", cell: (one) => word(one.ours ?? "–") }, { title: "Why", cell: (one) => h("span.pl-wrap", one.why) }]),
    part("Ignored", found.ignored, [{ title: "Key", cell: (one) => word(one.key) }, { title: "Value", cell: (one) => word(one.value) }, { title: "Why", cell: (one) => h("span.pl-wrap", one.why) }]),
    part("Understood", found.understood, [{ title: "Key", cell: (one) => word(one.key) }, { title: "Value", cell: (one) => word(one.value) }, { title: "Becomes", cell: (one) => word(one.becomes) }]),
    h("div.pl-row.end", button("Use these settings", () => use(found), { kind: "primary" })),
  ];
}
