// Storage: what the project keeps, by kind, and the rules of what it lets go; for admins what every project keeps.

import { get } from "./api.js";
import { h, table } from "./dom.js";
import { bytes, count, plural } from "./format.js";
import { isAdmin } from "./frame.js";
import { load } from "./live.js";
import { retention } from "./retention.js";

const KINDS = { checkpoints: "Checkpoints", snapshots: "Snapshots", exports: "Exports", uploads: "Uploads" };

export async function mount(element) {
  const own = h("section.pl-card.pl-stack.tight");
  const rules = h("div");
  const all = h("section.pl-card.pl-stack.tight");
  element.append(h("div.pl-page.pl-stack", own, rules, isAdmin ? all : null));
  await Promise.all([
    load(own, () => get("/storage"), (found) => own.append(h("h2", "What this project keeps"), ...kinds(found))),
    load(rules, () => get("/retention"), (found) => rules.append(retention(found))),
    isAdmin && load(all, () => get("/storage/projects"), (found) => all.append(h("h2", "All projects"), ...projects(found))),
  ]);
}

function kinds(one) {
  const waiting = one.kinds.reduce((sum, kind) => sum + kind.unmeasured, 0);
  return [
    table("What this project keeps", [
      { title: "Kind", cell: (kind) => h("strong", KINDS[kind.kind]) },
      { title: "Number", kind: "number", cell: (kind) => count(kind.count) },
      { title: "Size", kind: "number", cell: (kind) => bytes(kind.bytes) },
    ], [...one.kinds].sort((a, b) => b.bytes - a.bytes)),
    h("p", `${bytes(one.bytes)} in all. `, waiting ? `${plural(waiting, "object")} not measured yet: that takes a minute. ` : null,
      h("span.pl-muted", "Folders that somebody registered are not counted, nor is the database.")),
  ];
}

function projects({ items, cache_bytes: cache, disk_bytes: disk, free_bytes: free }) {
  const of = (one, kind) => bytes(one.kinds.find((found) => found.kind === kind).bytes);
  return [
    table("What every project keeps", [
      { title: "Project", cell: (one) => h("strong", one.name) },
      ...Object.entries(KINDS).map(([kind, title]) => ({ title, kind: "number", cell: (one) => of(one, kind) })),
      { title: "All", kind: "number", cell: (one) => bytes(one.bytes) },
    ], items),
    h("p.pl-muted", `The disk of the web server's data folder: ${bytes(free)} free of ${bytes(disk)}. `, cache ? `Copies from the storage on this machine: ${bytes(cache)}. ` : null,
      "Equal snapshots of two projects are stored once and counted in both."),
  ];
}
