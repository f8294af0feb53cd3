// One checkpoint: what it is, what one does with it next, and its history down to imported weights.

import { checkpointAccuracy } from "./accuracy.js";
import { del, get, post, put } from "./api.js";
import { endpoint } from "./checkpoint-endpoint.js";
import { exportsCard } from "./checkpoint-export.js";
import { templateEditor } from "./checkpoint-template.js";
import { badge, button, confirm, dialog, empty, fill, h, link, stateBadge, table, toastError } from "./dom.js";
import { ago, bytes, count, duration } from "./format.js";
import { actions, param, title } from "./frame.js";
import { load } from "./live.js";
import { checkpointPage, comparePage, evaluatePage, goneBadge, objectiveTitles, runPage, size, toyBadge } from "./run-state.js";
import { stylesheet } from "./stylesheet.js";

export async function mount(element) {
  await stylesheet("runs.css");
  const page = h("div.pl-page.pl-stack");
  element.append(page);
  const id = param("id");
  if (!id) {
    page.append(empty("Which checkpoint?", "The address names none.", h("a.pl-button.primary", { href: "/checkpoints" }, "All checkpoints")));
    return;
  }
  const ask = async () => ({ lineage: await get(`/checkpoints/${encodeURIComponent(id)}/lineage`), titleOf: await objectiveTitles() });
  await load(page, ask, ({ lineage, titleOf }) => draw(page, lineage, titleOf));
}

function draw(page, lineage, titleOf) {
  const [{ checkpoint }] = lineage.chain;
  title(checkpoint.name);
  const gone = checkpoint.removed_at ? `Its weights were deleted by the retention rule “${checkpoint.removed_by}”.` : !checkpoint.available ? "Its weights are no longer in their folder." : checkpoint.kind === "reward_model" ? "It is a reward model: it scores responses, and writes none." : checkpoint.chat_template === "missing" ? "It has no chat template yet." : null;
  const served = Boolean(checkpoint.endpoint);
  const other = checkpoint.parent_id;
  actions(
    button("Evaluate", () => location.assign(evaluatePage(...(other ? [other, checkpoint.id] : [checkpoint.id]))), { disabled: gone }),
    other ? button("Compare with its base", () => location.assign(comparePage(checkpoint.id, other)), { disabled: gone }) : null,
    button("Use as base", () => location.assign(`/new-run?checkpoint=${checkpoint.id}`), { kind: "primary", disabled: served ? "An endpoint's weights are not here: nothing can be trained on it." : gone }),
  );
  fill(page,
    !checkpoint.available && h("div.pl-error", { role: "alert" }, h("strong", checkpoint.removed_at ? ["Weights deleted ", ago(checkpoint.removed_at)] : "Weights gone"), h("p", `${gone} The record stays, so that its history can be read.`)),
    checkpoint.chat_template === "missing" && checkpoint.available ? templateCard(checkpoint) : null,
    h("section.pl-card.pl-stack", facts(checkpoint), served ? testPart(checkpoint) : checkpoint.source === "run" && checkpoint.available ? pinPart(checkpoint) : null),
    served ? null : checkpoint.kind === "reward_model" ? scorerCard(checkpoint) : checkpoint.chat_template === "missing" ? null : exportsCard(checkpoint),
    h("section.pl-stack.tight", h("h2", "Lineage"), h("ol.pl-lineage", lineage.chain.map((one, index) => h("li", step(one, index === 0, titleOf))))),
    lineage.children.length ? h("section.pl-stack.tight", h("h2", "Trained from it"), table("Checkpoints trained from it", CHILDREN, lineage.children, { onrow: (one) => location.assign(checkpointPage(one.id)) })) : null,
    checkpointAccuracy(checkpoint),
    lineage.evaluations.length ? h("section.pl-stack.tight", h("h2", "Evaluations"), table("Evaluations", EVALUATIONS, lineage.evaluations, { onrow: (one) => location.assign(`/evaluation?id=${one.id}`) })) : null);
}

// Exports are compared by the text they write, so a reward model has none; its folder serves as it is.
const scorerCard = (one) => h("section.pl-card.pl-stack.tight", { "aria-label": "Export" }, h("h2", "Export"),
  h("p.pl-muted", "A reward model is not exported: exports are compared by the text they write, and it writes none. Its folder can be used as it is: transformers loads it as a sequence classifier."),
  one.run_id && h("p.pl-muted", "Whoever runs the server finds it in the storage under ", h("code", `runs/${one.run_id}/checkpoints/${one.step}`), "."));

// Without a template nobody can tell where a response begins, so it comes first.
function templateCard(one) {
  const editor = templateEditor({ checkpoint_id: one.id });
  const give = async () => {
    try {
      await post(`/checkpoints/${one.id}/chat-template`, { chat_template: editor.value() });
      location.reload();
    } catch (error) {
      if (error.field === "chat_template") editor.fail(error);
      else toastError(error);
    }
  };
  return h("section.pl-card.pl-stack", h("h2", "It needs a chat template"), h("p", "These weights came without one, so nothing can run yet. What you give is kept beside them; their folder is not touched."), editor.element, h("div.pl-row.end", button("Give this template", give, { kind: "primary" })));
}

function testPart(one) {
  const said = h("span", { role: "status" });
  const ask = async () => {
    fill(said, h("span.pl-muted", "Asking…"));
    try {
      const { answer, seconds } = await post(`/checkpoints/${one.id}/test`);
      fill(said, badge("answers", "good"), ` in ${duration(seconds)}: `, h("span.pl-muted", answer));
    } catch (error) {
      fill(said, badge("no answer", "bad"), ` ${[error.detail, error.remedy].filter(Boolean).join(" ")}`);
    }
  };
  const change = async () => {
    if (await dialog(`Change “${one.name}”`, (close) => endpoint(close, one))) location.reload();
  };
  const forget = async () => {
    if (!(await confirm(`Delete “${one.name}”?`, "It is forgotten here; the server it names is not touched.", "Delete"))) return;
    try {
      await del(`/endpoints/${one.id}`);
      location.assign("/checkpoints");
    } catch (error) {
      toastError(error);
    }
  };
  return h("div.pl-row", button("Test it", ask, { kind: "small" }), button("Change", change, { kind: "small" }), button("Delete", forget, { kind: "small" }), said);
}

// What no retention rule may delete.
function pinPart(one) {
  const turn = async () => {
    try {
      await put(`/checkpoints/${one.id}/pinned`, { pinned: !one.pinned });
      location.reload();
    } catch (error) {
      toastError(error);
    }
  };
  return h("div.pl-row", one.pinned ? badge("pinned", "live") : null, button(one.pinned ? "Unpin" : "Pin", turn, { kind: "small" }),
    h("span.pl-muted", one.pinned ? "No retention rule deletes its weights." : "Keeps its weights whatever the project's retention rules say."));
}

function facts(one) {
  const rows = [
    one.endpoint && ["Address", h("code.pl-mono", one.endpoint.base_url)],
    one.endpoint && ["Model", h("code.pl-mono", one.endpoint.model)],
    one.endpoint && ["Key", one.endpoint.secret || "none"],
    one.endpoint && ["Requests at once", `${one.endpoint.concurrency}, each at most ${duration(one.endpoint.timeout_seconds)} silent`],
    one.endpoint && ["Price of a million tokens", price(one.endpoint)],
    !one.endpoint && ["Architecture", one.architecture],
    !one.endpoint && ["Parameters", h("span", { title: count(one.parameters) }, size(one.parameters), one.adapter ? " and an adapter" : "")],
    !one.endpoint && ["Chat template", { own: "its own", given: "given by somebody", missing: badge("missing", "warn") }[one.chat_template]],
    one.license && ["License", one.license],
    one.bytes ? ["Weights", bytes(one.bytes)] : null,
    ["Context", one.max_tokens ? `${count(one.max_tokens)} tokens` : "not stated"],
    one.hub_id && ["Hub", [one.hub_id, " at ", h("code.pl-mono", { title: one.revision }, one.revision.slice(0, 12))]],
    ["Added", ago(one.created_at)],
  ].filter(Boolean);
  return [h("div.pl-row", one.toy ? [toyBadge(), h("span.pl-muted", one.source === "toy" ? "A model of about a million parameters that ships with Plumbline, for trying things out." : "Trained in the toy world, for trying things out.")] : null),
    h("dl.pl-facts", rows.map(([name, value]) => [h("dt", name), h("dd", value)]))];
}

const ORIGINS = { folder: "registered from a folder", hub: "downloaded from a hub", toy: "ships with Plumbline", endpoint: "served elsewhere", run: "made by a run that was deleted" };

// One box of the picture: the checkpoint, and the run and the data that made it.
function step({ checkpoint, run, snapshot, data }, here, titleOf) {
  return h(`div.pl-card${here ? ".here" : ""}`,
    h("div.pl-row", here ? h("strong", checkpoint.name) : link(checkpoint.name, checkpointPage(checkpoint.id)), here ? badge("this one", "live") : null, checkpoint.toy ? toyBadge() : null, checkpoint.available ? null : goneBadge(checkpoint),
      run ? null : h("span.pl-muted", ORIGINS[checkpoint.source])),
    run ? madeBy(run, snapshot, data, titleOf) : null);
}

function madeBy(run, snapshot, data, titleOf) {
  const settings = [run.spec.tuning.kind === "lora" ? `LoRA rank ${run.spec.tuning.rank}` : "all weights", `learning rate ${run.spec.optimizer.learning_rate}`, `seed ${run.spec.seed}`];
  return h("div.pl-made-by",
    h("div.pl-row", h("span.pl-muted", "by run"), link(run.name, runPage(run.id)), stateBadge(run.state), badge(titleOf(run.objective)), h("span.pl-muted", settings.join(" · "))),
    snapshot && h("div.pl-row", h("span.pl-muted", "on"), link(snapshot.dataset, `/dataset?id=${snapshot.dataset_id}`), h("code.pl-mono", { title: `Snapshot ${snapshot.hash}` }, snapshot.hash.slice(0, 12)),
      h("span.pl-muted", `${count(snapshot.counts.train)} training examples`), h("a.pl-button.small", { href: `/new-run?snapshot=${snapshot.id}`, title: "Train again on exactly these examples" }, "Train on this snapshot")),
    data.slice(1).map((part) => h("div.pl-row", h("span.pl-muted", "and"), link(part.dataset, `/dataset?id=${part.dataset_id}`), h("code.pl-mono", { title: `Snapshot ${part.hash}` }, part.hash.slice(0, 12)), h("span.pl-muted", `${count(part.train)} training examples`))),
    data.length > 1 && data[0].share !== null ? h("p.pl-muted", `Drawn ${data.map((part) => `${Math.round(part.share * 1000) / 10} %`).join(" : ")}`) : null);
}

const CHILDREN = [
  { title: "Name", cell: (one) => [link(one.name, checkpointPage(one.id)), one.available ? null : [" ", goneBadge(one)]] },
  { title: "Run", cell: (one) => (one.run_id ? link("run", runPage(one.run_id)) : "–") },
  { title: "Step", kind: "number", cell: (one) => count(one.step) },
  { title: "Added", cell: (one) => ago(one.created_at) },
];
const EVALUATIONS = [
  { title: "Name", cell: (one) => link(one.name, `/evaluation?id=${one.id}`) },
  { title: "State", cell: (one) => stateBadge(one.state) },
  { title: "Started", cell: (one) => ago(one.created_at) },
];

const price = ({ input_price: read, output_price: written }) => (read === null || written === null ? "not given" : `${read} read, ${written} written`);
