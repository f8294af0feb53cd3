// Colors for pieces of code that the server's renderer has drawn: comments, strings, numbers and the words that most
// languages keep to themselves. The renderer tells no language, so that what is alike in all of them is what is found.
// Only text nodes are split: what stands there stays as it was written, letter by letter.

const LONGEST = 20_000; // characters; more stays plain
// What never ends is what it began as, to the end of the text or for so many characters: hostile text costs no more.
const PARTS = [
  ["comment", String.raw`/\*[^]*?(?:\*/|$(?![^]))|<!--[^]*?(?:-->|$(?![^]))|(?<![:\w])//[^\n]*|(?<=^|\s)#(?![!\[{])[^\n]*|(?<=^|\s)--(?=\s)[^\n]*`],
  ["string", String.raw`"""[^]*?(?:"""|$(?![^]))|'''[^]*?(?:'''|$(?![^]))|"(?:\\.|[^"\\\n]){0,300}"|(?<!\w)'(?:\\.|[^'\\\n]){0,300}'(?!\w)|${"`"}(?:\\.|[^${"`"}\\]){0,300}${"`"}`],
  ["number", String.raw`(?<![\w.])(?:0[xX][\da-fA-F_]+|0[bB][01_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.]*\w)`],
  ["word", String.raw`(?<![\w.$@-])[A-Za-z_]+(?![\w-])`],
];
const TOKENS = new RegExp(PARTS.map(([name, pattern]) => `(?<${name}>${pattern})`).join("|"), "gm");
const WORDS = new Set(
  ("abstract and as assert async await begin bool boolean break case catch char class const continue def default defer del do double elif else" +
    " end enum except export extends extern false False final finally float fn for foreach from func function global go goto if impl implements" +
    " import in include inline instanceof int interface is lambda let long loop match mod module mut namespace new nil None nonlocal not null" +
    " nullptr of operator or override package pass private protected pub public raise ref return select self short signed sizeof static string" +
    " struct super switch template then this throw throws trait true True try type typedef typeof undefined union unless unsigned until use" +
    " using val var virtual void volatile when where while with yield" +
    " CREATE TABLE SELECT FROM WHERE JOIN LEFT RIGHT INNER OUTER ON GROUP ORDER BY HAVING LIMIT INSERT INTO VALUES UPDATE SET DELETE AND OR NOT NULL AS DISTINCT UNION WITH").split(" "),
);

export function colorCode(element) {
  for (const code of element.querySelectorAll("pre > code:not(.math)")) {
    const text = code.textContent;
    if (text.length <= LONGEST) code.replaceChildren(...pieces(text));
  }
}

// The text in pieces, colored ones in an element of their own.
function pieces(text) {
  const found = [];
  let from = 0;
  for (const { 0: piece, index, groups } of text.matchAll(TOKENS)) {
    const kind = Object.keys(groups).find((name) => groups[name] !== undefined);
    if (kind === "word" && !WORDS.has(piece)) continue;
    if (index > from) found.push(text.slice(from, index));
    const colored = document.createElement("span");
    colored.className = `pl-code-${kind}`;
    colored.textContent = piece;
    found.push(colored);
    from = index + piece.length;
  }
  found.push(text.slice(from));
  return found;
}
