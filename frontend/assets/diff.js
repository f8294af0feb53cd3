// Word-level difference of two drawn texts: the longest common subsequence, on whatever lies between the shared ends.

import { h } from "./dom.js";

const MOST_CELLS = 4_000_000; // of the table: about 2,000 words against 2,000; drawn in some ten milliseconds

const split = (text) => text.match(/\s+|[\p{L}\p{N}_'’]+|[^\s\p{L}\p{N}_]/gu) || [];

// Mark in both elements the words that the other has not; false, and nothing marked, when that would take too long.
export function markDifferences(left, right) {
  const [a, b] = [words(left), words(right)];
  let start = 0;
  while (start < a.length && start < b.length && a[start].text === b[start].text) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end].text === b[b.length - 1 - end].text) end += 1;
  const [middleA, middleB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  if (middleA.length * middleB.length > MOST_CELLS) return false;
  for (const list of [a, b]) list.forEach((word, place) => { word.same = place < start || place >= list.length - end; });
  common(middleA, middleB);
  mark(a);
  mark(b);
  return true;
}

// The words of what is drawn, in order: {text, node}; a formula is one word, what only sets lines apart is none, nor what
// opens a folded part.
function words(element) {
  const found = [];
  const walk = document.createTreeWalker(element, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) => {
    if (node.parentNode.closest?.("math, summary")) return NodeFilter.FILTER_REJECT;
    return NodeFilter.FILTER_ACCEPT;
  });
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.data.trim() || !node.data.includes("\n") || node.parentNode.closest("pre")) found.push(...split(node.data).map((text) => ({ text, node })));
    } else if (node.localName === "math") found.push({ text: `\u0000${node.getAttribute("aria-label")}`, node });
  }
  return found;
}

// Say of each word whether it belongs to the longest common subsequence.
function common(a, b) {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      table[at] = a[i].text === b[j].text ? table[at + width + 1] + 1 : Math.max(table[at + width], table[at + 1]);
    }
  }
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i].text === b[j].text) {
      a[i].same = b[j].same = true;
      i += 1;
      j += 1;
    } else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i += 1;
    else j += 1;
  }
}

// Wrap what differs; a blank between two changed words counts as changed, so that marks run on.
function mark(list) {
  list.forEach((word, place) => {
    const [before, after] = [list[place - 1], list[place + 1]];
    if (/^\s+$/.test(word.text) && before && after && !before.same && !after.same) word.same = false;
  });
  for (let place = 0; place < list.length; ) {
    const { node } = list[place];
    const pieces = [];
    for (; place < list.length && list[place].node === node; place += 1) {
      const { text, same } = list[place];
      const last = pieces[pieces.length - 1];
      if (last && last.same === same) last.text += text;
      else pieces.push({ text, same });
    }
    if (node.nodeType !== Node.TEXT_NODE) node.classList.toggle("pl-diff", !pieces[0].same);
    else if (pieces.some(({ same }) => !same)) node.replaceWith(...pieces.map(({ text, same }) => (same ? text : h("mark.pl-diff", text))));
  }
}
