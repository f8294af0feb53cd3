// Showing a password or token the one time it can be seen.

import { button, copy, dialog, h } from "./dom.js";

// Resolves when the person has closed the dialog; `name` is shown beside the secret when it belongs to somebody else.
export function showOnce(heading, name, secret, what = "Password") {
  return dialog(heading, (close) => [
    h("p", "Copy this now: it cannot be shown again."),
    h("dl.pl-facts", name ? [h("dt", "Name"), h("dd.pl-mono", name)] : [], h("dt", what), h("dd.pl-mono.pl-secret", secret)),
    h("div.pl-row.end", button("Copy", () => copy(name ? `${name}\n${secret}` : secret)), button("Done", () => close(), { kind: "primary" })),
  ]);
}
