// Uploading an export to a hub: where to, seen by whom, with which of the project's tokens; and how it goes.

import { get, newKey, post } from "./api.js";
import { badge, button, dialog, field, fill, h, link, progress, showError, skeleton, stateBadge, toastError } from "./dom.js";
import { ago, bytes } from "./format.js";
import { noHub } from "./frame.js";
import { moving } from "./run-state.js";

export const pushButton = (one, watching) => button("Push to a hub…", () => ask(one).then((sent) => sent && watching.now()), { kind: "small", disabled: noHub });

// Resolves to true when an upload was asked for.
const ask = (one) => dialog("Push to a hub", (close) => {
  const place = h("div", skeleton(3));
  const load = async () => {
    try {
      const { items } = await get("/secrets");
      fill(place, form(one, items.filter((secret) => secret.kind === "hub"), close));
    } catch (error) {
      toastError(error);
      close();
    }
  };
  load();
  return place;
});

function form(one, tokens, close) {
  if (!tokens.length) return h("div.pl-stack", h("p", "This project has no token of a hub yet."), h("p.pl-muted", "An owner of the project sets one under Secrets: a token that may write to your account or organization."), h("div.pl-row.end", button("Close", () => close())));
  const repo = h("input", { type: "text", maxlength: 193, placeholder: `owner/${one.name}`, spellcheck: "false", autocomplete: "off" });
  const secret = h("select", tokens.map((token) => h("option", { value: token.name }, token.hint ? `${token.name} (…${token.hint})` : token.name)));
  const visible = h("select", h("option", { value: "private" }, "Private: only you and your organization"), h("option", { value: "public" }, "Public: everybody"));
  const fields = {
    repo_id: field("Repository", repo, { help: "It is made if it is not there yet. Weights of an earlier upload are replaced." }),
    private: field("Seen by", visible),
    secret: field("Token", secret),
  };
  const send = async (event) => {
    event.preventDefault();
    Object.values(fields).forEach((each) => showError(each, ""));
    try {
      await post(`/exports/${one.id}/pushes`, { repo_id: repo.value.trim(), private: visible.value === "private", secret: secret.value }, { key: newKey() });
      close(true);
    } catch (error) {
      if (!fields[error.field]) toastError(error);
      else showError(fields[error.field], error.field === "repo_id" && error.status === 422 ? "That is no repository's name: write owner/name." : [error.detail, error.remedy].filter(Boolean).join(" "));
    }
  };
  return h("form.pl-stack", { onsubmit: send }, fields.repo_id, fields.private, fields.secret, h("div.pl-row.end", button("Cancel", () => close()), button(`Push ${bytes(one.bytes)}`, null, { type: "submit", kind: "primary" })));
}

export function pushLine(push, watching) {
  const cancel = async () => {
    try {
      await post(`/pushes/${push.id}/cancel`);
    } catch (error) {
      toastError(error);
    }
    watching.now();
  };
  return h("div.pl-export-push",
    h("div.pl-row.between",
      h("span.pl-row", stateBadge(push.state), push.url ? link(push.repo_id, push.url) : h("span", push.repo_id), badge(push.private ? "private" : "public"), push.commit && h("code.pl-mono", { title: push.commit }, push.commit.slice(0, 10)), h("small.pl-muted", ago(push.created_at))),
      moving(push) ? button("Cancel", cancel, { kind: "small", disabled: push.state === "stopping" ? "It is stopping." : null }) : null),
    moving(push) ? [h("small.pl-muted", push.state === "queued" ? "Waiting for a worker…" : `${bytes(push.done)} of ${bytes(push.total)}`), progress(push.done, push.total, `Upload to ${push.repo_id}`)] : null,
    push.reason ? [h("p", push.reason), push.remedy && h("p.pl-muted", push.remedy)] : null);
}
