// What somebody has begun on a card and not sent: rating, rationale, ranking, edit. Kept by the browser, so that a page
// that is closed in the middle gives it back.

import { me } from "./frame.js";

const PREFIX = `pl-draft-${me.id}-`;
const MOST = 100;
const DAYS = 30;

const name = (card) => `${PREFIX}${card.task_id}-${card.item_id}`;

// {aspects, rationale, groups, edit: {response, text, done}}
export function draftOf(card) {
  try {
    return JSON.parse(localStorage.getItem(name(card))) || {};
  } catch {
    return {}; // storage is off or spoiled
  }
}

export function keepDraft(card, draft) {
  const { aspects, rationale, groups, edit } = draft;
  const begun = rationale || edit || (groups && groups.length) || (aspects && Object.values(aspects).flat().some((one) => one !== null));
  try {
    if (begun) localStorage.setItem(name(card), JSON.stringify({ aspects, rationale, groups, edit, made: Date.now() }));
    else localStorage.removeItem(name(card));
  } catch {
    // Storage is off: it lasts until the page is left.
  }
}

export const dropDraft = (card) => keepDraft(card, {});

// Drafts that nobody came back to.
export function sweepDrafts() {
  try {
    const found = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX)).map((key) => [key, made(key)]);
    found.sort(([, one], [, other]) => other - one);
    const old = Date.now() - DAYS * 86_400_000;
    found.forEach(([key, at], place) => { if (place >= MOST || at < old) localStorage.removeItem(key); });
  } catch {
    // Storage is off: there are none.
  }
}

function made(key) {
  try {
    return JSON.parse(localStorage.getItem(key)).made || 0;
  } catch {
    return 0;
  }
}
