// Exports of a checkpoint: asked for, watched, downloaded, served, deleted. Uploads to a hub stand in checkpoint-push.js.

import { del, get, newKey, post } from "./api.js";
import { badge, button, confirm, copy, errorCard, fill, h, progress, skeleton, stateBadge, toastError } from "./dom.js";
import { ago, bytes, count, number, percent } from "./format.js";
import { pushButton, pushLine } from "./checkpoint-push.js";
import { live } from "./live.js";
import { moving } from "./run-state.js";

const KINDS = { merged: "merged weights", adapter: "adapter only" };
const DTYPES = { as_trained: "as trained", bf16: "bf16" };
const STEPS = { loading: "Loading the checkpoint…", writing: "Writing…", comparing: "Loading it again and comparing…", finishing: "Finishing…" };
const WHY = "Weights, tokenizer, chat template and a card that tells where they come from. Every export is loaded again and compared with the checkpoint before it counts.";

// The card of a checkpoint whose weights lie with Plumbline.
export function exportsCard(checkpoint) {
  const list = h("div.pl-stack", skeleton(2));
  const drawn = new Map(); // id → what was drawn, so that an open list of files stays open
  const watching = live(async (signal) => {
    const query = { checkpoint_id: checkpoint.id, limit: 50 };
    const [exports, pushes] = await Promise.all([get("/exports", query, { signal }), get("/pushes", query, { signal })]);
    draw(list, drawn, exports.items, pushes.items, watching);
    return [...exports.items, ...pushes.items].some(moving);
  }, { seconds: 1, slowest: 20, onerror: (error) => drawn.size || fill(list, errorCard(error, () => watching.now())) });
  return h("section.pl-card.pl-stack", { "aria-label": "Export" }, h("div.pl-stack.tight", h("h2", "Export"), h("p.pl-muted", WHY)), form(checkpoint, watching), list);
}

function form(checkpoint, watching) {
  const chosen = { kind: "merged", dtype: "as_trained" };
  const whole = checkpoint.adapter ? null : "This checkpoint holds whole weights, so there is no adapter to export alone.";
  const gone = checkpoint.available ? null : "Its weights are no longer in their folder.";
  const send = async () => {
    try {
      await post("/exports", { checkpoint_id: checkpoint.id, ...chosen }, { key: newKey() });
    } catch (error) {
      toastError(error);
    }
    watching.now();
  };
  return h("div.pl-row",
    segments("What", chosen, "kind", [["merged", "Merged weights", "Whole weights that any program can load"], ["adapter", "Adapter only", whole || "Small; it needs its base where it is served", whole]]),
    segments("Numbers", chosen, "dtype", [["as_trained", "As trained", "Nothing is lost: float32 where an adapter is merged, else as the weights lie"], ["bf16", "bf16", "Two bytes a weight; the difference is measured and shown"]]),
    button("Export", send, { kind: "primary", disabled: gone }));
}

function segments(label, chosen, name, options) {
  const buttons = options.map(([value, words, why, disabled]) => h("button", { type: "button", value, title: why, "aria-pressed": String(chosen[name] === value), "aria-disabled": disabled ? "true" : null, onclick: () => disabled || choose(value) }, words));
  const choose = (value) => {
    chosen[name] = value;
    buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === value)));
  };
  return h("div.pl-segments", { role: "group", "aria-label": label }, buttons);
}

function draw(list, drawn, exports, pushes, watching) {
  const left = pushes.filter((push) => !exports.some((one) => one.id === push.export_id));
  const newest = exports.find((one) => one.available);
  const now = new Map(exports.map((one) => [one.id, { one, pushes: pushes.filter((push) => push.export_id === one.id), open: one === newest }]));
  const elements = [...now].map(([id, value]) => {
    const text = JSON.stringify(value);
    if (drawn.get(id)?.text !== text) drawn.set(id, { text, element: card(value, watching) });
    return drawn.get(id).element;
  });
  [...drawn.keys()].filter((id) => !now.has(id)).forEach((id) => drawn.delete(id));
  const wanted = [...elements, ...left.map((push) => pushLine(push, watching))];
  if (!wanted.length) fill(list, h("p.pl-muted", "Nothing has been exported yet."));
  else if (left.length || wanted.length !== list.children.length || wanted.some((one, place) => list.children[place] !== one)) fill(list, wanted);
}

function card({ one, pushes, open }, watching) {
  const bad = one.state === "failed" || one.state === "lost";
  return h("article.pl-export", { class: bad ? "bad" : null },
    h("div.pl-row.between", h("span.pl-row", stateBadge(one.state), h("strong", one.name), badge(KINDS[one.kind]), badge(one.written_dtype || DTYPES[one.dtype]), h("small.pl-muted", ago(one.created_at))), h("span.pl-row", doings(one, watching))),
    body(one, open), pushes.map((push) => pushLine(push, watching)));
}

function doings(one, watching) {
  const act = (doing) => async () => {
    try {
      await doing();
    } catch (error) {
      toastError(error);
    }
    watching.now();
  };
  const remove = async () => {
    const sure = !one.available || (await confirm("Delete this export?", `Its files, ${bytes(one.bytes)}, are deleted from the disk. What was uploaded to a hub stays there, and it can be exported again.`, "Delete"));
    if (sure) await del(`/exports/${one.id}`);
  };
  if (moving(one)) return button("Cancel", act(() => post(`/exports/${one.id}/cancel`)), { kind: "small", disabled: one.state === "stopping" ? "It is stopping." : null });
  return [
    one.available && h("a.pl-button.small.primary", { href: `/api/v1/exports/${one.id}/archive`, download: `${one.name}.tar`, title: "One tar archive; a download that breaks off can go on" }, `Download (${bytes(one.archive_bytes)})`),
    one.available && pushButton(one, watching),
    button("Delete", act(remove), { kind: "small" }),
  ];
}

function body(one, open) {
  if (moving(one)) return [h("small.pl-muted", words(one)), progress(one.done, one.total, `Export ${one.name}`)];
  if (one.state !== "succeeded") return [h("p", one.reason), one.remedy && h("p.pl-muted", one.remedy)];
  if (!one.available) return h("p", "Its files are gone from the disk. Export it again.");
  const same = one.comparison;
  return [
    h("p.pl-muted", { title: `${count(same.positions)} positions of ${same.prompts} prompts; a difference over ${number(same.tolerance)} would have failed it` },
      same.difference ? `Loaded again and compared: logits differ by ${percent(same.difference, 2)} of their spread, the likeliest token is the same at ${percent(same.same_token, 1)} of the places.` : "Loaded again and compared: it answers exactly like the checkpoint."),
    h("details", { open }, h("summary", "How to serve it"), h("div.pl-stack.tight", one.base && h("p.pl-muted", `It stands on ${one.base}.`), one.commands.map(command))),
    h("details", h("summary", `${count(one.files.length)} files, ${bytes(one.bytes)}`), h("ul.pl-export-files", one.files.map((file) => h("li", h("a", { href: fileAddress(one, file), download: file.name.split("/").pop() }, file.name), h("small.pl-muted", { title: `SHA-256 ${file.sha256}` }, bytes(file.size)))))),
  ];
}

const fileAddress = (one, file) => `/api/v1/exports/${one.id}/files/${file.name.split("/").map(encodeURIComponent).join("/")}`;

const words = (one) => (one.state === "queued" ? "Waiting for a worker…" : one.state === "stopping" ? "Stopping…" : STEPS[one.step] || "Starting…");

const command = ({ title, text }) =>
  h("div.pl-export-command", h("div.pl-row.between", h("small.pl-muted", title), button("Copy", () => copy(text), { kind: "small quiet", title: `Copy the lines for ${title}` })), h("pre.pl-run-words", text));
