// LaTeX as our objectives write it, drawn as MathML, which browsers set by themselves. Unknown commands show their name.

const MATH = "http://www.w3.org/1998/Math/MathML";
const LETTERS = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", varepsilon: "ε", zeta: "ζ", eta: "η", theta: "θ", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν",
  xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", phi: "φ", varphi: "φ", chi: "χ", psi: "ψ", omega: "ω", Delta: "Δ", Lambda: "Λ", Phi: "Φ", Psi: "Ψ", Sigma: "Σ", Omega: "Ω", ell: "ℓ",
  infty: "∞", partial: "∂", nabla: "∇",
};
const SIGNS = {
  cdot: "·", times: "×", le: "≤", leq: "≤", ge: "≥", geq: "≥", ne: "≠", approx: "≈", sim: "∼", in: "∈", mid: "|", to: "→", rightarrow: "→", succ: "≻", prec: "≺",
  sum: "∑", prod: "∏", int: "∫", pm: "±", ldots: "…", dots: "…", cdots: "⋯", langle: "⟨", rangle: "⟩", lVert: "‖", rVert: "‖", Vert: "‖", lvert: "|", rvert: "|", "{": "{", "}": "}", "|": "‖", forall: "∀",
  land: "∧", wedge: "∧", lor: "∨", vee: "∨", neg: "¬", lnot: "¬", oplus: "⊕", Rightarrow: "⇒", Leftrightarrow: "⇔", mapsto: "↦", leftarrow: "←", ll: "≪", gg: "≫", propto: "∝", equiv: "≡",
  notin: "∉", subset: "⊂", cup: "∪", cap: "∩", setminus: "∖", circ: "∘", odot: "⊙", otimes: "⊗", star: "⋆", ast: "∗", colon: ":", lfloor: "⌊", rfloor: "⌋", lceil: "⌈", rceil: "⌉", vdots: "⋮", neq: "≠",
  coloneqq: "≔", triangleq: "≜", exists: "∃", bullet: "•", prime: "′",
};
const WORDS = new Set(["log", "exp", "max", "min", "ln", "sup", "inf", "tanh", "arg", "argmax", "argmin", "det", "Pr", "lim", "cos", "sin", "cosh", "sinh", "sign", "rank"]);
const SPACES = { quad: "1em", qquad: "2em", ",": "0.17em", ";": "0.28em", ":": "0.22em", " ": "0.25em", "!": "-0.1em" };
const ACCENTS = { hat: "^", widehat: "^", bar: "¯", overline: "¯", tilde: "˜", widetilde: "˜", dot: "˙", vec: "→" };
const SIZES = new Set(["big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl", "Biggr", "bigm", "middle", "textstyle", "displaystyle", "limits"]);
const FONTS = { mathrm: "normal", text: "normal", textrm: "normal", mathsf: "normal", operatorname: "normal", mathbb: "double-struck", mathcal: "script", mathbf: "bold" };

const make = (name, ...children) => {
  const element = document.createElementNS(MATH, name);
  element.append(...children);
  return element;
};

// formula(String.raw`-\log\sigma(\beta h)`) -> a <math> element with the source as its label.
export function formula(source) {
  const tokens = source.match(/\\[a-zA-Z]+|\\.|[0-9]+(?:\.[0-9]+)?|\s+|./gsu) || [];
  const reader = { tokens, at: 0 };
  const math = make("math", row(reader, () => false));
  math.setAttribute("display", "block");
  math.setAttribute("aria-label", source);
  return math;
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

function row(reader, ends) {
  const parts = [];
  while (peek(reader) !== undefined && !ends(peek(reader))) {
    const one = scripted(reader);
    if (one) parts.push(one);
  }
  return make("mrow", ...parts);
}

// An atom with what hangs above and below it.
function scripted(reader) {
  const body = atom(reader);
  if (!body) return null;
  let [sub, sup] = [null, null];
  while (peek(reader) === "_" || peek(reader) === "^") {
    const mark = take(reader);
    const argument = atom(reader) || make("mrow");
    if (mark === "_") sub = argument;
    else sup = argument;
  }
  if (sub && sup) return make("msubsup", body, sub, sup);
  if (sub) return make("msub", body, sub);
  return sup ? make("msup", body, sup) : body;
}

function group(reader) {
  if (peek(reader) !== "{") return atom(reader) || make("mrow");
  take(reader);
  const inner = row(reader, (token) => token === "}");
  take(reader);
  return inner;
}

function atom(reader) {
  const token = take(reader);
  if (token === undefined) return null;
  if (token === "{") {
    reader.at -= 1;
    return group(reader);
  }
  if (token.startsWith("\\")) return command(token.slice(1), reader);
  if (/^[0-9]/.test(token)) return make("mn", token);
  if (/^[a-zA-Z]$/.test(token)) return make("mi", token);
  if (token === "'") return make("mo", "′");
  return operator(token === "-" ? "−" : token);
}

function operator(text, stretchy = false) {
  const element = make("mo", text);
  element.setAttribute("stretchy", String(stretchy));
  return element;
}

function command(name, reader) {
  if (name === "frac" || name === "tfrac" || name === "dfrac") return make("mfrac", group(reader), group(reader));
  if (name === "sqrt") return make("msqrt", group(reader));
  if (name === "left") return fenced(reader);
  if (name in ACCENTS) return make("mover", group(reader), operator(ACCENTS[name]));
  if (name === "begin") return table(styledName(reader), reader);
  if (name === "underbrace" || name === "underline") return group(reader);
  if (SIZES.has(name)) return null; // brackets have the size of what they stand around
  if (name in SPACES) return space(SPACES[name]);
  if (name in FONTS) return styled(FONTS[name], reader);
  if (name in LETTERS) return make("mi", LETTERS[name]);
  if (name in SIGNS) return operator(SIGNS[name]);
  const word = make("mi", name);
  if (!WORDS.has(name)) return word;
  word.setAttribute("mathvariant", "normal");
  return make("mrow", space("0.17em"), word, space("0.17em"));
}

const styledName = (reader) => styled("normal", reader).textContent;

// Cases and matrices: rows end at \\, cells at &.
function table(kind, reader) {
  const rows = [[]];
  const ends = (token) => token === "&" || token === "\\\\" || token === "\\end";
  while (peek(reader) !== undefined) {
    rows.at(-1).push(make("mtd", row(reader, ends)));
    const mark = take(reader);
    if (mark === "\\\\") rows.push([]);
    else if (mark !== "&") break;
  }
  styledName(reader);
  const body = make("mtable", ...rows.map((cells) => make("mtr", ...cells)));
  if (kind !== "cases") return body;
  body.style.textAlign = "left";
  return make("mrow", operator("{", true), body);
}

function space(width) {
  const element = make("mspace");
  element.setAttribute("width", width);
  return element;
}

function fenced(reader) {
  const fence = () => {
    const token = take(reader) || ".";
    const text = token.startsWith("\\") ? SIGNS[token.slice(1)] || "" : token;
    return operator(text === "." ? "" : text, true);
  };
  const open = fence();
  const inner = row(reader, (token) => token === "\\right");
  take(reader);
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

const DOUBLE = { E: "𝔼", R: "ℝ", P: "ℙ", N: "ℕ", 1: "𝟙" };
const SCRIPT = { D: "𝒟", L: "ℒ", N: "𝒩", F: "ℱ", B: "ℬ", Y: "𝒴", X: "𝒳" };

function styled(font, reader) {
  let text = "";
  if (peek(reader) === "{") {
    take(reader);
    while (reader.at < reader.tokens.length && reader.tokens[reader.at] !== "}") text += reader.tokens[reader.at++].replace(/^\\/, "");
    take(reader);
  } else text = take(reader) || "";
  const shown = font === "double-struck" ? DOUBLE[text] || text : font === "script" ? SCRIPT[text] || text : text;
  const element = make("mi", shown.replace(/\s/g, "\u00a0"));
  element.setAttribute("mathvariant", "normal");
  if (font === "bold") element.style.fontWeight = "bold";
  return element;
}
