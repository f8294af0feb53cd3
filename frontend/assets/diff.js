// Word-level difference of two texts: the longest common subsequence, on whatever lies between the shared ends.

const MOST_CELLS = 4_000_000; // of the table: about 2,000 words against 2,000; drawn in some ten milliseconds

const split = (text) => text.match(/\s+|[\p{L}\p{N}_'’]+|[^\s\p{L}\p{N}_]/gu) || [];

// [{text, same}] for each side, or null when the texts are too long to compare quickly.
export function diff(left, right) {
  const [a, b] = [split(left), split(right)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const [middleA, middleB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  if (middleA.length * middleB.length > MOST_CELLS) return null;
  const [keptA, keptB] = common(middleA, middleB);
  const whole = (words, kept) => runs(words, (place) => place < start || place >= words.length - end || kept[place - start]);
  return { left: whole(a, keptA), right: whole(b, keptB) };
}

// Which words of each side belong to the longest common subsequence.
function common(a, b) {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      table[at] = a[i] === b[j] ? table[at + width + 1] + 1 : Math.max(table[at + width], table[at + 1]);
    }
  }
  const kept = [new Array(a.length).fill(false), new Array(b.length).fill(false)];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) {
      kept[0][i] = kept[1][j] = true;
      i += 1;
      j += 1;
    } else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return kept;
}

// Neighboring words of one kind joined; a blank between two changed words counts as changed, so that marks run on.
function runs(words, same) {
  const flags = words.map((_, place) => Boolean(same(place)));
  for (let place = 1; place < words.length - 1; place += 1) {
    if (/^\s+$/.test(words[place]) && !flags[place - 1] && !flags[place + 1]) flags[place] = false;
  }
  const joined = [];
  words.forEach((text, place) => {
    const last = joined[joined.length - 1];
    if (last && last.same === flags[place]) last.text += text;
    else joined.push({ text, same: flags[place] });
  });
  return joined;
}
