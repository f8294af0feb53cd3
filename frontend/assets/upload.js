// A file on its way to the server, as it is, with its progress: fetch cannot tell how much has left, so this is XHR.

import { ApiError, ConnectionLost, search, signIn } from "./api.js";

// send(file, (sent, total) => …) → {promise, cancel}. The promise gives the upload's row or an ApiError; cancelled gives null.
export function send(file, onprogress) {
  const request = new XMLHttpRequest();
  const promise = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => onprogress(event.loaded, file.size));
    request.addEventListener("load", () => {
      if (request.status === 401) signIn();
      const body = decoded(request.responseText);
      if (request.status >= 200 && request.status < 300 && body) resolve(body);
      else reject(new ApiError(request.status, body || { title: `The server answered ${request.status}` }));
    });
    request.addEventListener("error", () => reject(new ConnectionLost()));
    request.addEventListener("abort", () => resolve(null));
  });
  request.open("POST", `/api/v1/uploads${search({ filename: file.name || "upload" })}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(file);
  return { promise, cancel: () => request.abort() };
}

function decoded(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a proxy's own page; the status says enough
  }
}
