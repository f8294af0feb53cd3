// Data that are not uploaded: a dataset of a hub, looked at before it is taken; files in allowed folders of the server.

import { get, newKey, post } from "./api.js";
import { badge, button, empty, errorCard, field, fill, h, skeleton } from "./dom.js";
import { bytes, plural } from "./format.js";
import { noHub, param } from "./frame.js";

// A hub id and revision, then license, size and splits, then one split; the address may name all but the revision.
export function hubSource(place, ontaken) {
  if (noHub) return void fill(place, empty("Offline", noHub));
  const id = h("input", { type: "text", maxlength: 200, placeholder: "owner/name", autocomplete: "off", spellcheck: false, value: param("hub") || "" });
  const revision = h("input", { type: "text", maxlength: 128, placeholder: "main", autocomplete: "off", spellcheck: false });
  const found = h("div", { "aria-live": "polite" });
  const look = async (event) => {
    event.preventDefault();
    if (!id.value.trim()) return void id.focus();
    fill(found, skeleton(3));
    try {
      const query = new URLSearchParams({ hub_id: id.value.trim(), revision: revision.value.trim() || "main" });
      fill(found, choice(await get(`/hub/datasets?${query}`), ontaken));
    } catch (error) {
      fill(found, errorCard(error));
    }
  };
  fill(place, h("form.pl-card.pl-stack", { onsubmit: look, novalidate: true },
    h("p.pl-muted", "Tables of a hub (Parquet, JSON, CSV) are read at one commit; no program of a repository runs. A gated dataset needs the project's hub token, under Secrets."),
    h("div.pl-form", field("Dataset", id), field("Revision", revision, { help: "A branch, tag or commit; it is pinned to its commit." })),
    h("div.pl-row.end", button("Look", null, { kind: "primary", type: "submit" }))), found);
}

function choice(seen, ontaken) {
  const key = newKey();
  const splits = Object.entries(seen.configs).flatMap(([config, names]) => names.map((split) => ({ config, split })));
  const wanted = ({ config, split }) => config === param("config") && split === param("split");
  const select = h("select", splits.map(({ config, split }, index) => h("option", { value: index, selected: wanted({ config, split }) }, config === "default" ? split : `${config}: ${split}`)));
  const failed = h("div");
  const take = button("Use this split", async () => {
    take.classList.add("busy");
    fill(failed);
    try {
      const body = { hub_id: seen.hub_id, commit: seen.commit, ...splits[Number(select.value)] };
      ontaken(await post("/uploads/hub", body, { key: `${key}-${select.value}` }));
    } catch (error) {
      fill(failed, errorCard(error));
    } finally {
      take.classList.remove("busy");
    }
  }, { kind: "primary", disabled: splits.length ? null : "It has no split that can be read." });
  return h("section.pl-card.pl-stack", h("div.pl-row", h("h2.pl-cut", seen.hub_id), seen.gated ? badge("gated") : null, seen.private ? badge("private") : null),
    h("dl.pl-facts", h("dt", "License"), h("dd", seen.license || "none stated"), h("dt", "Size"), h("dd", `${bytes(seen.size)} in ${plural(seen.files, "file")}`),
      h("dt", "Commit"), h("dd.pl-mono", seen.commit.slice(0, 12))),
    field("Configuration and split", select), failed, h("div.pl-row.end", take));
}

// Folders that an admin allows, and the data files in them.
export function serverSource(place, ontaken) {
  const key = newKey();
  const failed = h("div");
  const list = h("div.pl-stack");
  const take = async (path) => {
    fill(failed);
    try {
      ontaken(await post("/uploads/server", { path }, { key: `${key}-${path}` }));
    } catch (error) {
      fill(failed, errorCard(error));
    }
  };
  const open = async (path) => {
    fill(list, skeleton(3));
    fill(failed);
    try {
      draw(await get(`/data-files${path ? `?${new URLSearchParams({ path })}` : ""}`), path);
    } catch (error) {
      fill(list, errorCard(error, () => open(path)));
    }
  };
  const draw = (found, path) => {
    if (!path && !found.folders.length) return fill(list, empty("No folder is allowed", "An admin names folders whose files may be imported: PLUMBLINE_DATA_ROOTS."));
    const entry = (name, size, buttons) => h("li.pl-row.between", h("span.pl-mono.pl-cut", { title: name }, path ? name.split("/").at(-1) : name), h("span.pl-row", size === null ? null : h("span.pl-muted", bytes(size)), buttons));
    return fill(list,
      h("div.pl-row.between", h("strong.pl-mono.pl-cut", path || "Allowed folders"), path ? button("Back to the folders", () => open(null), { kind: "small" }) : null),
      h("ul.pl-entries",
        found.folders.map((folder) => entry(folder, null, button("Open", () => open(folder), { kind: "small" }))),
        found.files.map((file) => entry(file.path, file.size, button("Use", () => take(file.path), { kind: "small" })))),
      path && found.files.length > 1 ? h("div.pl-row.end", button(`Use all ${found.files.length} files as one dataset`, () => take(path))) : null,
      path && !found.files.length && !found.folders.length ? h("p.pl-muted", "No data files here.") : null);
  };
  fill(place, h("section.pl-card.pl-stack", h("p.pl-muted", "Files are read where they lie: nothing is copied. Files packed with gzip or zstd are unpacked."), list, failed));
  open(null);
}
