// Home: the loop with live numbers.

import { get } from "./api.js";
import { h } from "./dom.js";
import { load } from "./live.js";

export async function mount(element) {
  const page = h("div.pl-page");
  element.append(page);
  await load(page, () => get("/home"), (home) => page.append(h("pre.pl-mono", JSON.stringify(home, null, 2))));
}
