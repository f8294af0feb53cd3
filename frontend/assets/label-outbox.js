// Answers that the server has not confirmed yet, kept by the browser: a reload, a crash or a lost connection loses none.
// Those that it will never take are kept too, until the person has seen why. One entry of the storage for each answer, so
// that two tabs never overwrite each other.

import { me } from "./frame.js";

const WAITING = `pl-answer-${me.id}-${me.project.id}-`; // sent in the project where they were given
const REFUSED = `pl-refused-${me.id}-${me.project.id}-`;
const memory = new Map(); // what the storage would not take

const storage = () => {
  try {
    return window.localStorage;
  } catch {
    return null; // switched off
  }
};

function write(name, entry) {
  try {
    storage().setItem(name, JSON.stringify(entry));
  } catch {
    memory.set(name, entry);
  }
}

function remove(name) {
  memory.delete(name);
  try {
    storage().removeItem(name);
  } catch {
    // It was never stored.
  }
}

// Every entry of this person in this project, oldest first.
function read(prefix) {
  const found = [...memory].filter(([name]) => name.startsWith(prefix)).map(([, entry]) => entry);
  const place = storage();
  for (let index = 0; place && index < place.length; index += 1) {
    const name = place.key(index);
    if (!name.startsWith(prefix)) continue;
    try {
      found.push(JSON.parse(place.getItem(name)));
    } catch {
      // Spoiled by somebody else: there is nothing to send.
    }
  }
  return found.sort((one, other) => one.made - other.made);
}

export const keep = (answer) => write(WAITING + answer.client_id, answer);
export const forget = (clientId) => remove(WAITING + clientId);
export const kept = () => read(WAITING);

// {answer, why, remedy, made} of each answer that could not be saved.
export const refuse = (answer, { detail, remedy }) => write(REFUSED + answer.client_id, { answer, why: detail, remedy, made: Date.now() });
export const refusals = () => read(REFUSED);
export const dismiss = (clientId) => remove(REFUSED + clientId);
