// Answers that the server has not confirmed yet, kept by the browser: a reload, a crash or a lost connection loses none.
// One entry of the storage for each answer, so that two tabs never overwrite each other.

import { me } from "./frame.js";

const PREFIX = `pl-answer-${me.id}-${me.project.id}-`; // sent in the project where they were given
const memory = new Map(); // what the storage would not take

const storage = () => {
  try {
    return window.localStorage;
  } catch {
    return null; // switched off
  }
};

export function keep(answer) {
  try {
    storage().setItem(PREFIX + answer.client_id, JSON.stringify(answer));
  } catch {
    memory.set(answer.client_id, answer);
  }
}

export function forget(clientId) {
  memory.delete(clientId);
  try {
    storage().removeItem(PREFIX + clientId);
  } catch {
    // It was never stored.
  }
}

// Every kept answer of this person in this project, oldest first.
export function kept() {
  const found = [...memory.values()];
  const place = storage();
  for (let index = 0; place && index < place.length; index += 1) {
    const key = place.key(index);
    if (!key.startsWith(PREFIX)) continue;
    try {
      found.push(JSON.parse(place.getItem(key)));
    } catch {
      // Spoiled by somebody else: there is nothing to send.
    }
  }
  return found.sort((one, other) => one.made - other.made);
}
