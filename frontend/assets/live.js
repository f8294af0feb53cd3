// Polling that is kind to the server: quick while things happen, slower while nothing does, silent while nobody looks.

import { connection } from "./api.js";
import { errorCard, skeleton } from "./dom.js";

// live(async (signal) => { …; return changed }, { seconds: 1, slowest: 10 }) calls the function again and again.
// It returns true when something was new, "done" when nothing will ever come again, anything else otherwise.
// Returned: { now(), stop() }.
export function live(ask, { seconds = 1, slowest = 10, onerror = null } = {}) {
  let wait = seconds;
  let timer = null;
  let stopped = false;
  let running = false;
  const abort = new AbortController();

  async function tick() {
    clearTimeout(timer);
    if (stopped || running || document.hidden) return;
    running = true;
    try {
      const result = await ask(abort.signal);
      if (result === "done") stopped = true;
      wait = result === true ? seconds : Math.min(slowest, wait * 1.5);
    } catch (error) {
      if (error.name !== "AbortError") {
        wait = Math.min(slowest, Math.max(2, wait * 2));
        if (error.name !== "ConnectionLost" && onerror) onerror(error);
      }
    } finally {
      running = false;
      if (!stopped) timer = setTimeout(tick, wait * 1000);
    }
  }

  const wake = () => {
    wait = seconds;
    tick();
  };
  document.addEventListener("visibilitychange", wake);
  connection.addEventListener("back", wake);
  tick();
  return {
    now: wake,
    stop() {
      stopped = true;
      clearTimeout(timer);
      abort.abort();
      document.removeEventListener("visibilitychange", wake);
      connection.removeEventListener("back", wake);
    },
  };
}

// Answers may come in another order than they were asked for: `const current = newest()` before asking, and once the
// answer is there `current()` says whether nothing was asked since.
export function latest() {
  let last = 0;
  return () => {
    const mine = (last += 1);
    return () => mine === last;
  };
}

// Load once into a place: a skeleton, then the drawing, or an error card with "Try again".
export async function load(place, ask, draw) {
  if (!place.childElementCount) place.append(skeleton(5));
  try {
    const value = await ask();
    place.replaceChildren();
    place.removeAttribute("aria-busy");
    await draw(value);
  } catch (error) {
    place.removeAttribute("aria-busy");
    place.replaceChildren(errorCard(error, () => load(place, ask, draw)));
  }
}
