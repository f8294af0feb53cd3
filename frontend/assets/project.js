// The project itself: its name, making another, archiving, deleting.

import { del, get, patch } from "./api.js";
import { badge, button, confirm, dialog, field, h, showError, toast, toastError } from "./dom.js";
import { ago } from "./format.js";
import { actions, me } from "./frame.js";
import { load } from "./live.js";
import { mayMake, newProject } from "./projects.js";

export async function mount(element) {
  const page = h("div.pl-page.narrow.pl-stack");
  element.append(page);
  if (mayMake) actions(button("New project", newProject, { kind: "primary" }));
  const refresh = () => load(page, () => get(`/projects/${me.project.id}`), (project) => page.append(naming(project), archiving(project, refresh), deleting(project)));
  await refresh();
}

const said = (error) => [error.detail, error.remedy].filter(Boolean).join(" ");

function naming(project) {
  const name = field("Name", h("input", { maxlength: 80, value: project.name, autocomplete: "off" }));
  const send = async (event) => {
    event.preventDefault();
    showError(name, "");
    try {
      await patch(`/projects/${project.id}`, { name: name.querySelector("input").value });
      location.reload();
    } catch (error) {
      showError(name, said(error));
    }
  };
  return h("section.pl-card.pl-stack", h("h2", "Name"), h("p.pl-muted", "Made ", ago(project.created_at), "."),
    h("form.pl-row.pl-inline-form", { onsubmit: send, novalidate: true }, name, button("Rename", null, { type: "submit" })));
}

function archiving(project, refresh) {
  const archived = Boolean(project.archived_at);
  const turn = async () => {
    const text = "Everything stays and can be read; nothing can be added or changed until you open it again. What runs just now goes on to its end.";
    if (!archived && !(await confirm(`Archive ${project.name}?`, text, "Archive"))) return;
    try {
      await patch(`/projects/${project.id}`, { archived: !archived });
      toast(archived ? "The project is open again." : "The project is archived.");
      location.reload();
    } catch (error) {
      toastError(error);
      await refresh();
    }
  };
  return h("section.pl-card.pl-stack", h("h2", "Archive ", archived && badge("archived", "warn")),
    h("p.pl-muted", archived ? "This project can be read only." : "A finished project can be put away without losing anything."),
    h("div.pl-row", button(archived ? "Open it again" : "Archive", turn)));
}

function deleting(project) {
  return h("section.pl-card.bad.pl-stack", h("h2", "Delete"),
    h("p", "Deletes every dataset, label, run, checkpoint, evaluation, secret and invitation of this project, with their files, for good. Whatever runs is stopped first."),
    h("p.pl-muted", "Checkpoints registered from a folder of yours stay in that folder. Backups made before keep what was in them."),
    h("div.pl-row", button("Delete this project", () => ask(project), { kind: "danger" })));
}

function ask(project) {
  return dialog(`Delete ${project.name}?`, (close) => {
    const name = field("The project's name, to confirm", h("input", { autocomplete: "off", maxlength: 80 }));
    const send = async (event) => {
      event.preventDefault();
      showError(name, "");
      try {
        await del(`/projects/${project.id}?${new URLSearchParams({ name: name.querySelector("input").value })}`);
        location.assign("/account");
      } catch (error) {
        showError(name, said(error));
      }
    };
    return h("form.pl-stack", { onsubmit: send, novalidate: true }, h("p", "This cannot be undone. Type ", h("strong", project.name), "."), name,
      h("div.pl-row.end", button("Cancel", () => close()), button("Delete for good", null, { kind: "danger", type: "submit" })));
  });
}
