// LaTeX as our objectives, people and models write it, drawn element by element as MathML, which browsers set themselves.
// What is not known is told, so that a formula of a response is drawn rightly or left as its source.

import { ACCENTS, DOUBLE, FENCES, FONTS, LETTERS, SCRIPT, SIGNS, SIZES, SPACES, WORDS } from "./formula-signs.js";

const MATH = "http://www.w3.org/1998/Math/MathML";
const DEEPEST = 40; // of braces in braces; a browser lays out no tower of thousands

const make = (name, ...children) => {
  const element = document.createElementNS(MATH, name);
  element.append(...children);
  return element;
};

// formula(String.raw`-\log\sigma(\beta h)`) -> a <math> element with the source as its label. Unknown commands show their name.
export const formula = (source) => draw(source).math;

// Draw every formula that the server's renderer has marked; what cannot be drawn rightly stays as its source.
export function drawFormulas(element) {
  for (const place of element.querySelectorAll("code.math")) {
    const { math, strange } = draw(place.textContent);
    if (strange) continue;
    if (!place.classList.contains("display")) math.removeAttribute("display");
    place.replaceWith(math);
  }
}

function draw(source) {
  const tokens = source.match(/\\[a-zA-Z]+|\\.|[0-9]+(?:\.[0-9]+)?|\s+|./gsu) || [];
  const reader = { tokens, at: 0, depth: 0, strange: false };
  const parts = [];
  while (peek(reader) !== undefined) {
    parts.push(row(reader, () => false));
    if (peek(reader) !== undefined) strange(reader, take(reader)); // a closing brace or \end that nothing opened
  }
  const math = make("math", ...parts);
  math.setAttribute("display", "block");
  math.setAttribute("aria-label", source);
  return { math, strange: reader.strange };
}

function strange(reader, token) {
  reader.strange = true;
  return make("mi", token);
}

// Blanks mean something in \text alone.
function peek(reader) {
  while (reader.tokens[reader.at]?.trim() === "") reader.at += 1;
  return reader.tokens[reader.at];
}

function take(reader) {
  const token = peek(reader);
  reader.at += 1;
  return token;
}

// What closes an opening one, where it must stand.
function expect(reader, token) {
  if (take(reader) !== token) reader.strange = true;
}

const CLOSING = new Set(["}", "&", "\\\\", "\\end", "\\right"]);

function row(reader, ends) {
  const parts = [];
  while (peek(reader) !== undefined && !ends(peek(reader)) && !CLOSING.has(peek(reader))) {
    const one = scripted(reader);
    if (one) parts.push(one);
  }
  return make("mrow", ...parts);
}

// An atom with what hangs above and below it.
function scripted(reader) {
  let body = atom(reader);
  if (!body) return null;
  let [sub, sup] = [null, null];
  let primes = ""; // these stand high by themselves: as exponents they would fly off
  while (peek(reader) === "_" || peek(reader) === "^" || peek(reader) === "'") {
    const mark = take(reader);
    if (mark === "'") {
      primes += "′";
      continue;
    }
    const argument = atom(reader) || make("mrow");
    if (mark === "_") sub = argument;
    else if (/^′+$/.test(argument.textContent)) primes += argument.textContent;
    else sup = sup ? make("mrow", sup, argument) : argument;
  }
  if (primes) body = make("mrow", body, make("mi", primes));
  if (sub && sup) return make("msubsup", body, sub, sup);
  if (sub) return make("msub", body, sub);
  return sup ? make("msup", body, sup) : body;
}

function group(reader) {
  if (peek(reader) !== "{") return digit(reader) || atom(reader) || make("mrow");
  take(reader);
  const inner = row(reader, (token) => token === "}");
  expect(reader, "}");
  return inner;
}

// \frac12 is one half: without braces an argument is one digit.
function digit(reader) {
  const token = peek(reader);
  if (token === undefined || !/^[0-9]{2,}$/.test(token)) return null;
  reader.tokens[reader.at] = token.slice(1);
  return make("mn", token[0]);
}

function atom(reader) {
  reader.depth += 1;
  if (reader.depth > DEEPEST) {
    reader.strange = true;
    reader.at = reader.tokens.length;
  }
  const token = take(reader);
  const drawn = token === undefined ? null : begun(token, reader);
  reader.depth -= 1;
  return drawn;
}

function begun(token, reader) {
  if (CLOSING.has(token)) {
    reader.at -= 1;
    return null;
  }
  if (token === "{") {
    reader.at -= 1;
    return group(reader);
  }
  if (token.startsWith("\\")) return command(token.slice(1), reader);
  if (/^[0-9]/.test(token)) return make("mn", token);
  if (/^\p{L}$/u.test(token)) return make("mi", token);
  if (token === "'") return make("mo", "′");
  if (token === "_" || token === "^") {
    reader.at -= 1;
    return make("mrow"); // it hangs on nothing
  }
  return token === "~" ? space("0.25em") : operator(token === "-" ? "−" : token);
}

function operator(text, stretchy = false) {
  const element = make("mo", text);
  element.setAttribute("stretchy", String(stretchy));
  return element;
}

const known = (table, name) => (Object.hasOwn(table, name) ? table[name] : null);

function command(name, reader) {
  const special = known(SPECIAL, name);
  if (special) return special(reader);
  if (known(ACCENTS, name)) return make("mover", group(reader), operator(ACCENTS[name]));
  if (SIZES.has(name)) return null; // brackets have the size of what they stand around
  if (known(SPACES, name)) return space(SPACES[name]);
  if (known(FONTS, name)) return styled(FONTS[name], reader);
  if (known(LETTERS, name)) return make("mi", LETTERS[name]);
  if (known(SIGNS, name)) return operator(SIGNS[name]);
  if (!WORDS.has(name)) return strange(reader, name);
  const word = make("mi", name);
  word.setAttribute("mathvariant", "normal");
  return make("mrow", space("0.17em"), word, space("0.17em"));
}

const fraction = (reader) => make("mfrac", group(reader), group(reader));

function binomial(reader) {
  const inner = fraction(reader);
  inner.setAttribute("linethickness", "0");
  return make("mrow", grown(operator("("), true), inner, grown(operator(")"), true));
}

function root(reader) {
  if (peek(reader) !== "[") return make("msqrt", group(reader));
  take(reader);
  const degree = row(reader, (token) => token === "]");
  expect(reader, "]");
  return make("mroot", group(reader), degree);
}

function boxed(reader) {
  const inner = group(reader);
  inner.style.cssText = "border: 1px solid; padding: 0.15em 0.3em";
  return inner;
}

const above = (reader) => {
  const [over, body] = [group(reader), group(reader)];
  return make("mover", body, over);
};

const below = (reader) => {
  const [under, body] = [group(reader), group(reader)];
  return make("munder", body, under);
};

function overlined(reader) {
  const inner = group(reader);
  inner.style.borderTop = "1px solid";
  return inner;
}

const modulo = (reader) => make("mrow", space("0.5em"), operator("("), make("mi", "mod"), space("0.25em"), group(reader), operator(")"));

const SPECIAL = {
  frac: fraction, tfrac: fraction, dfrac: fraction, cfrac: fraction, binom: binomial, dbinom: binomial, tbinom: binomial,
  sqrt: root, left: fenced, boxed, fbox: boxed, overset: above, stackrel: above, underset: below, pmod: modulo, underbrace: group, underline: group, overbrace: group,
  overline: overlined, color: (reader) => (styledName(reader), null), phantom: (reader) => (group(reader), null),
  not: (reader) => operator(`${(atom(reader) || make("mo")).textContent}\u0338`),
  begin: (reader) => table(styledName(reader), reader),
  tag: (reader) => make("mrow", space("1em"), operator("("), styled("normal", reader), operator(")")),
};

const styledName = (reader) => styled("normal", reader).textContent;

// Cases, matrices and aligned lines: rows end at \\, cells at &.
function table(kind, reader) {
  const rows = [[]];
  const name = kind.replace("*", "");
  if (name === "array") styledName(reader); // how its columns are set
  const ends = (token) => token === "&" || token === "\\\\" || token === "\\end";
  while (peek(reader) !== undefined) {
    rows.at(-1).push(make("mtd", row(reader, ends)));
    const mark = take(reader);
    if (mark === "\\\\") rows.push([]);
    else if (mark !== "&") {
      if (mark !== "\\end") reader.strange = true;
      break;
    }
  }
  if (styledName(reader) !== kind) reader.strange = true;
  if (!rows.at(-1).some((cell) => cell.textContent)) rows.pop(); // the last line is ended too
  const body = make("mtable", ...rows.map((cells) => make("mtr", ...cells)));
  if (name.startsWith("align") || name === "eqnarray" || name === "split") aligned(rows);
  if (name === "cases") {
    body.style.textAlign = "left";
    return make("mrow", operator("{", true), body);
  }
  const fence = known(FENCES, name);
  return fence ? make("mrow", operator(fence[0], true), body, operator(fence[1], true)) : body;
}

// Lines meet at their first sign: what stands before it ends there.
function aligned(rows) {
  for (const cells of rows) {
    cells.forEach((cell, place) => {
      cell.style.textAlign = place % 2 ? "left" : "right";
      cell.style.padding = "0.15em 0.1em";
    });
  }
}

function space(width) {
  const element = make("mspace");
  element.setAttribute("width", width);
  return element;
}

function fenced(reader) {
  const fence = () => {
    const token = take(reader) || ".";
    const text = token.startsWith("\\") ? known(SIGNS, token.slice(1)) || "" : token;
    return operator(text === "." ? "" : text, true);
  };
  const open = fence();
  const inner = row(reader, (token) => token === "\\right");
  expect(reader, "\\right");
  const tall = inner.querySelector("mfrac") !== null;
  return make("mrow", grown(open, tall), inner, grown(fence(), tall));
}

// Brackets stretch by themselves only where a font for mathematics is installed; these are made tall everywhere.
function grown(fence, tall) {
  if (!tall || !fence.textContent) return fence;
  fence.setAttribute("stretchy", "false");
  fence.style.fontSize = "2em";
  const raised = make("mpadded", fence);
  raised.setAttribute("voffset", "-0.25em");
  return raised;
}

function styled(font, reader) {
  let text = "";
  if (peek(reader) === "{") {
    take(reader);
    while (reader.at < reader.tokens.length && reader.tokens[reader.at] !== "}") text += reader.tokens[reader.at++].replace(/^\\/, "");
    expect(reader, "}");
  } else text = take(reader) || "";
  const shown = font === "double-struck" ? known(DOUBLE, text) || text : font === "script" ? known(SCRIPT, text) || text : text;
  const element = make("mi", shown.replace(/\s/g, "\u00a0"));
  element.setAttribute("mathvariant", "normal");
  if (font === "bold") element.style.fontWeight = "bold";
  return element;
}
