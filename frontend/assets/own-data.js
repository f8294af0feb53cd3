// What belongs to the person: a copy of everything held of them, and who they are at the sign-in provider.

import { del, get } from "./api.js";
import { button, h, table, toast, toastError } from "./dom.js";
import { ago } from "./format.js";
import { load } from "./live.js";
import { save } from "./save.js";

export const ownData = () =>
  h("section.pl-card.pl-stack", h("h2", "Your data"),
    h("p.pl-muted", "Everything that is held of you, as one JSON file: labels, votes, prompts, tokens (without their text), sessions, and what the audit log says of you. To have it removed, ask an admin."),
    h("div.pl-row", button("Download your data", () => save("/me/data", {}, "my-data.json"))));

// Nothing where no provider is set up and none was connected before.
export function identities() {
  const place = h("div");
  const refresh = () => load(place, read, ({ name, items }) => {
    if (!name && !items.length) return;
    place.append(h("section.pl-card.pl-stack", h("h2", "Sign-in provider"),
      table("Identities", [
        { title: "Email", cell: (one) => one.email },
        { title: "Provider", cell: (one) => one.issuer ?? "expected, not yet come" },
        { title: "Last used", cell: (one) => (one.last_used_at ? ago(one.last_used_at) : "never") },
        { title: "Actions", cell: (one) => button("Disconnect", () => disconnect(one, refresh), { kind: "small" }) },
      ], items, { none: "None connected." }),
      name && h("div.pl-row", h("a.pl-button", { href: "/api/v1/sso/start?link=true" }, `Connect with ${name}`))));
  });
  refresh();
  return place;
}

const read = async () => ({ ...(await get("/sso")), ...(await get("/me/identities")) });

async function disconnect(one, refresh) {
  try {
    await del(`/me/identities/${one.id}`);
    toast("Disconnected");
  } catch (error) {
    toastError(error);
  }
  await refresh();
}
