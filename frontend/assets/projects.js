// The projects of the signed-in person: going to another, making one, and what happens when one is taken away.

import { get, post, put } from "./api.js";
import { button, dialog, field, h, showError, toastError } from "./dom.js";

const me = window.plumbline.me;

// Only owners and admins make projects; the server has the last word.
export const mayMake = me.admin || me.projects.some((one) => one.role === "owner");

// Go to Home of a project; this browser's pages are about it from now on.
export async function choose(id) {
  try {
    await put("/me/project", { project_id: id }, { headers: { "Plumbline-Project": id } });
    location.assign("/");
  } catch (error) {
    toastError(error);
  }
}

export function newProject() {
  return dialog("New project", (close) => {
    const name = field("Name", h("input", { maxlength: 80, autocomplete: "off", required: true }), { help: "Data, runs, labels and people of a project are seen in that project only." });
    const send = async (event) => {
      event.preventDefault();
      showError(name, "");
      try {
        const made = await post("/projects", { name: name.querySelector("input").value });
        close();
        await choose(made.id);
      } catch (error) {
        showError(name, [error.detail, error.remedy].filter(Boolean).join(" "));
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true }, name,
      h("div.pl-row.end", button("Cancel", () => close()), button("Make the project", null, { kind: "primary", type: "submit" })));
  });
}

// The list of projects in the frame; the last line makes a new one.
export function startSwitch(select) {
  if (!select) return;
  const before = select.value;
  select.addEventListener("change", () => {
    const wanted = select.value;
    if (wanted === before) return;
    select.value = before;
    if (wanted === "new") newProject();
    else choose(wanted);
  });
}

let told = false;

// The person is out of this page's project: nothing here can go on, so it says so over everything.
export async function tellOutside(error) {
  if (told) return;
  told = true;
  const others = await get("/projects", null, { quiet: true }).then((page) => page.items.filter((one) => one.id !== me.project?.id), () => []);
  const box = h("dialog.pl-dialog", { "aria-label": "Not in this project any more", "aria-live": "assertive" });
  const name = me.project ? `“${me.project.name}”` : "this project";
  box.append(
    h("div.pl-dialog-head", h("h2", "You are out of this project")),
    h("div.pl-dialog-body",
      h("p", `You are no longer a member of ${name}, or it was deleted. What you had sent before is kept; what was on its way just now was not taken.`),
      error.remedy && h("p.pl-muted", error.remedy),
      h("div.pl-row.end", button("Reload", () => location.reload()), others.slice(0, 5).map((one) => button(`Go to ${one.name}`, () => choose(one.id), { kind: "primary" })))),
  );
  box.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(box);
  box.showModal();
}
