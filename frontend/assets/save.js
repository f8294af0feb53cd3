// Saves what an address answers as a file. A plain link would ask for the browser's project, not for this tab's.

import { ApiError, search } from "./api.js";
import { h, toastError } from "./dom.js";

export async function save(path, query, name) {
  const project = window.plumbline?.me?.project;
  const headers = project ? { "Plumbline-Project": project.id } : {};
  try {
    const answer = await fetch(`/api/v1${path}${search(query)}`, { headers });
    if (!answer.ok) throw new ApiError(await answer.json());
    const address = URL.createObjectURL(await answer.blob());
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  } catch (error) {
    toastError(error);
  }
}
