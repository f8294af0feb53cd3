// The browser's way to the API. Every call returns decoded JSON or throws an ApiError that can be shown to people.

const ROOT = "/api/v1";
const RETRY_AFTER = [500, 1000, 2000, 4000];

// What went wrong, as problem details say it: a title, one sentence, the field at fault, what to do.
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.title = problem.title || "That did not work";
    this.detail = problem.detail || this.message;
    this.field = problem.field || null;
    this.remedy = problem.remedy || null;
    this.problems = problem.problems || [this]; // each field at fault, where several are
    this.outside = problem.type === "/problems/NotAMember"; // of the project that this page is about
    this.problem = problem;
  }
}

export class ConnectionLost extends ApiError {
  constructor() {
    super(0, { title: "No connection", detail: "The server cannot be reached.", remedy: "It is tried again by itself." });
    this.name = "ConnectionLost";
  }
}

export const get = (path, query, options) => request("GET", path + search(query), undefined, options);
export const post = (path, body, options) => request("POST", path, body, options);
export const patch = (path, body, options) => request("PATCH", path, body, options);
export const put = (path, body, options) => request("PUT", path, body, options);
export const del = (path, options) => request("DELETE", path, undefined, options);
export const api = { get, post, patch, put, del };

// A name the client makes for one intended action; send the same one when the action is repeated.
export const newKey = () =>
  crypto.randomUUID
    ? crypto.randomUUID()
    : Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// "?a=1&b=2" of the values that are there; a list gives its name once for each.
export function search(query) {
  const each = Object.entries(query || {}).flatMap(([name, value]) => (Array.isArray(value) ? value.map((one) => [name, one]) : [[name, value]]));
  const pairs = each.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

// All items of a cursor list, page by page: `for await (const item of all("/runs"))`.
export async function* all(path, query = {}) {
  let cursor = null;
  do {
    const page = await get(path, { ...query, cursor });
    yield* page.items;
    cursor = page.next_cursor;
  } while (cursor);
}

// options: key (Idempotency-Key: then a lost connection is tried again by itself), signal, raw (a Blob or File as body),
// headers, keepalive (outlives the page), quiet (no banner, no move to the sign-in page: the caller shows the error).
export async function request(method, path, body, options = {}) {
  // The person's day begins at their own midnight: the API is told how far their clock is from UTC.
  const headers = { Accept: "application/json", "X-UTC-Offset": String(-new Date().getTimezoneOffset()), ...options.headers };
  // A tab stays in the project that it was opened in, whatever another tab has chosen since.
  const project = window.plumbline?.me?.project;
  if (project) headers["Plumbline-Project"] = project.id;
  if (options.key) headers["Idempotency-Key"] = options.key;
  const init = { method, headers, credentials: "same-origin", signal: options.signal, keepalive: Boolean(options.keepalive) };
  if (options.raw !== undefined) {
    init.body = options.raw;
    headers["Content-Type"] ||= "application/octet-stream";
  } else if (body !== undefined) {
    init.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const response = await reach(path, init, method === "GET" || Boolean(options.key), options);
  return decode(response, options);
}

async function reach(path, init, repeatable, options) {
  for (let attempt = 0; ; attempt += 1) {
    let response = null;
    try {
      response = await fetch(ROOT + path, init);
    } catch (error) {
      if (error.name === "AbortError") throw error;
    }
    const down = response === null || response.status === 502 || response.status === 504;
    if (!down) {
      connection.found();
      return response;
    }
    if (!options.quiet) connection.lost();
    if (!repeatable || attempt >= RETRY_AFTER.length) throw new ConnectionLost();
    await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER[attempt]));
  }
}

async function decode(response, options) {
  if (response.status === 204) return null;
  const type = response.headers.get("content-type") || "";
  const body = type.includes("json") ? await response.json().catch(() => null) : null;
  if (response.ok) return body;
  const error = new ApiError(response.status, body || { title: `The server answered ${response.status}` });
  if (response.status === 401 && !options.quiet && !connection.leaving) signIn();
  if (error.outside && !options.quiet) connection.dispatchEvent(new CustomEvent("outside", { detail: error }));
  throw error;
}

// Leave for the sign-in page, to come back to this very address.
export function signIn() {
  const next = location.pathname + location.search;
  location.assign(`/sign-in?next=${encodeURIComponent(next)}`);
}

// Whether the server answers. While it does not, it is asked every two seconds; pages listen to `back` to catch up.
export const connection = Object.assign(new EventTarget(), {
  online: true,
  leaving: false, // signing out: what is still on its way and refused then leads nowhere
  timer: null,
  lost() {
    if (!this.online) return;
    this.online = false;
    this.dispatchEvent(new Event("lost"));
    this.timer = setInterval(async () => {
      const response = await fetch(`${ROOT}/me`, { credentials: "same-origin" }).catch(() => null);
      if (response && response.status !== 502 && response.status !== 504) this.found();
    }, 2000);
  },
  found() {
    if (this.online) return;
    this.online = true;
    clearInterval(this.timer);
    this.dispatchEvent(new Event("back"));
  },
});
