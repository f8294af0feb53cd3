// A task in words: what it asks, how often, in which order, of whom, until when.

import { count, percent, plural } from "./format.js";

export const KINDS = {
  pair: ["Which of two is better", "Two responses side by side; one key a card."],
  ranking: ["Best to worst", "All responses of a prompt in an order; ties allowed."],
  thumb: ["Good or not", "One response at a time, a thumb up or down."],
};
// What can be asked about the items of each kind of dataset, the usual first.
export const KINDS_OF = { paired: ["pair", "ranking"], ranked: ["ranking"], unpaired: ["thumb"], demonstrations: ["thumb"] };
export const SCALES = {
  strength: ["How much better (7 steps)", "From “A is much better” over “tie” to “B is much better”."],
  preference: ["Better or not (3 steps)", "“A is better”, “tie”, “B is better”: quicker, and says less."],
};
export const RATIONALES = { off: "No reasons asked", optional: "A reason if one wants", required: "A reason with every answer" };
export const ORDERS = {
  sequential: ["As in the dataset", "From the first item to the last."],
  random: ["Shuffled", "In a stored random order: what is labelled first is a fair sample of the whole."],
  uncertainty: ["Uncertain first", "What a suggestion is least sure of comes first."],
};

export const labelable = (dataset) => Boolean(KINDS_OF[dataset.kind]) && dataset.items > 0;

// "Which of two is better, in 7 steps, both bad allowed; 2 aspects; a reason if one wants; edits"
export function asks(question) {
  const parts = [KINDS[question.kind]?.[0] || question.kind];
  if (question.kind === "pair") parts[0] += question.scale === "strength" ? ", in 7 steps" : ", in 3 steps";
  if (question.kind === "pair" && question.both_bad) parts.push("both bad allowed");
  if (question.aspects.length) parts.push(`rated for ${list(question.aspects.map((one) => one.title))}`);
  if (question.rationale !== "off") parts.push(RATIONALES[question.rationale].toLowerCase());
  if (question.edits) parts.push("edits allowed");
  return parts.join("; ");
}

// "2 labels an item, 10 % gold, shuffled"
export function runs(task) {
  const parts = [`${plural(task.overlap, "label")} an item`];
  if (task.gold_share) parts.push(`${percent(task.gold_share)} gold`);
  parts.push((ORDERS[task.order]?.[0] || task.order).toLowerCase());
  return parts.join(", ");
}

export const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

// "in 2 days" or "3 h ago", and whether that is past.
export function until(moment) {
  const seconds = (new Date(moment).getTime() - Date.now()) / 1000;
  const size = Math.abs(seconds);
  const words = size < 3600 ? plural(Math.max(1, Math.round(size / 60)), "minute") : size < 48 * 3600 ? plural(Math.round(size / 3600), "hour") : plural(Math.round(size / 86400), "day");
  return { past: seconds < 0, words: seconds < 0 ? `${words} ago` : `in ${words}` };
}

// Whether nothing more of a task is handed out.
export const ended = (task) => Boolean(task.closed_at || (task.deadline && until(task.deadline).past));

export const moment = (iso) => new Date(iso).toLocaleString(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const day = (iso) => new Date(iso).toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric" });

// Time of work in the words of work: "45 min", "9 h 20 min", "120 h".
export function workTime(seconds) {
  const minutes = Math.max(1, Math.round(seconds / 60));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 && minutes % 60 ? `${hours} h ${minutes % 60} min` : `${count(minutes / 60)} h`;
}
