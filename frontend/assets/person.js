// What an admin does with a person: expecting them from the sign-in provider, and removing their data.

import { get, post } from "./api.js";
import { button, dialog, field, h, showError, skeleton, toast } from "./dom.js";
import { plural } from "./format.js";
import { load } from "./live.js";

const said = (error) => [error.detail, error.remedy].filter(Boolean).join(" ");

export function expect(user) {
  return dialog(`Let ${user.name} in by the sign-in provider`, (close) => {
    const email = field("Email there", h("input", { type: "email", maxlength: 254, autocomplete: "off" }), { help: "Whoever comes with this verified email the first time is this person from then on." });
    const send = async (event) => {
      event.preventDefault();
      showError(email, "");
      try {
        await post(`/users/${user.id}/identities`, { email: email.querySelector("input").value });
        close();
        toast(`${user.name} is expected.`);
      } catch (error) {
        showError(email, said(error));
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true }, email, h("div.pl-row.end", button("Cancel", () => close()), button("Expect", null, { kind: "primary", type: "submit" })));
  });
}

export function removeData(user, refresh) {
  return dialog(`Remove the data of ${user.name}`, (close) => {
    const place = h("div.pl-stack", skeleton(4));
    load(place, () => get(`/users/${user.id}/data`), (held) => place.append(form(user, held, close, refresh)));
    return place;
  });
}

function form(user, held, close, refresh) {
  const choice = (label, options) => field(label, h("select", Object.entries(options).map(([key, text]) => h("option", { value: key }, text))));
  const judgements = choice(`${plural(held.labels, "label")} and ${plural(held.verdicts, "verdict")}`, { keep: "keep, without a name", delete: "delete" });
  const text = choice(`${plural(held.rationales, "written reason")} and ${plural(held.battles, "arena prompt")}`, { delete: "delete", keep: "keep" });
  const name = field(`Type ${user.name} to confirm`, h("input", { autocomplete: "off", autocapitalize: "none", spellcheck: false }));
  const value = (one) => one.querySelector("input, select").value;
  const send = async (event) => {
    event.preventDefault();
    showError(name, "");
    try {
      const done = await post(`/users/${user.id}/erase`, { confirm: value(name), judgements: value(judgements), free_text: value(text) });
      close();
      toast(`Removed. What is left is under “${done.name}”.`);
      await refresh();
    } catch (error) {
      showError(name, said(error));
    }
  };
  return h("form.pl-stack", { onsubmit: send, novalidate: true },
    h("p", `The name, ${plural(held.sessions, "session")}, ${plural(held.tokens, "token")}, ${plural(held.identities, "identity", "identities")} and ${plural(held.memberships, "membership")} go, and addresses in ${plural(held.audit_events, "audit event")}. This cannot be undone.`),
    judgements, text,
    h("details", h("summary", "What stays"), held.frozen_labels > 0 && h("p", `${plural(held.frozen_labels, "label")} went into frozen snapshots.`), h("ul", held.stays.map((one) => h("li", one)))),
    name, h("div.pl-row.end", button("Cancel", () => close()), button("Remove for good", null, { kind: "danger", type: "submit" })));
}
