// Commands of LaTeX and the signs that they stand for.

export const LETTERS = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", varepsilon: "ε", zeta: "ζ", eta: "η", theta: "θ", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν",
  xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", phi: "φ", varphi: "φ", chi: "χ", psi: "ψ", omega: "ω", Delta: "Δ", Lambda: "Λ", Phi: "Φ", Psi: "Ψ", Sigma: "Σ", Omega: "Ω", ell: "ℓ",
  infty: "∞", partial: "∂", nabla: "∇", iota: "ι", upsilon: "υ", Gamma: "Γ", Theta: "Θ", Xi: "Ξ", Upsilon: "Υ", vartheta: "ϑ", varrho: "ϱ", emptyset: "∅", varnothing: "∅", hbar: "ℏ", Re: "ℜ", Im: "ℑ",
  imath: "ı", jmath: "ȷ", aleph: "ℵ", angle: "∠", triangle: "△", top: "⊤", bot: "⊥", checkmark: "✓", degree: "°", square: "□", blacksquare: "■", Box: "□", cdotp: "·",
};
export const SIGNS = {
  cdot: "·", times: "×", le: "≤", leq: "≤", ge: "≥", geq: "≥", ne: "≠", approx: "≈", sim: "∼", in: "∈", mid: "|", to: "→", rightarrow: "→", succ: "≻", prec: "≺",
  sum: "∑", prod: "∏", int: "∫", pm: "±", ldots: "…", dots: "…", cdots: "⋯", langle: "⟨", rangle: "⟩", lVert: "‖", rVert: "‖", Vert: "‖", lvert: "|", rvert: "|", "{": "{", "}": "}", "|": "‖", forall: "∀",
  land: "∧", wedge: "∧", lor: "∨", vee: "∨", neg: "¬", lnot: "¬", oplus: "⊕", Rightarrow: "⇒", Leftrightarrow: "⇔", mapsto: "↦", leftarrow: "←", ll: "≪", gg: "≫", propto: "∝", equiv: "≡",
  notin: "∉", subset: "⊂", cup: "∪", cap: "∩", setminus: "∖", circ: "∘", odot: "⊙", otimes: "⊗", star: "⋆", ast: "∗", colon: ":", lfloor: "⌊", rfloor: "⌋", lceil: "⌈", rceil: "⌉", vdots: "⋮", neq: "≠",
  coloneqq: "≔", triangleq: "≜", exists: "∃", bullet: "•", prime: "′", div: "÷", mp: "∓", iff: "⟺", implies: "⟹", impliedby: "⟸", therefore: "∴", because: "∵", perp: "⊥", parallel: "∥", cong: "≅", simeq: "≃",
  longrightarrow: "⟶", longleftarrow: "⟵", Leftarrow: "⇐", leftrightarrow: "↔", Longrightarrow: "⟹", uparrow: "↑", downarrow: "↓", nearrow: "↗", searrow: "↘", hookrightarrow: "↪", rightleftharpoons: "⇌",
  supset: "⊃", subseteq: "⊆", supseteq: "⊇", ni: "∋", nmid: "∤", nexists: "∄", geqslant: "≥", leqslant: "≤", gtrsim: "≳", lesssim: "≲", oint: "∮", iint: "∬", coprod: "∐", bigcup: "⋃", bigcap: "⋂", bigoplus: "⨁",
  vdash: "⊢", models: "⊨", asymp: "≍", ddots: "⋱", dotsc: "…", dotsb: "⋯", mathellipsis: "…", backslash: "\\", lbrace: "{", rbrace: "}", lbrack: "[", rbrack: "]", "%": "%", $: "$", "#": "#", "&": "&", _: "_",
};
export const WORDS = new Set(["log", "exp", "max", "min", "ln", "sup", "inf", "tanh", "arg", "argmax", "argmin", "det", "Pr", "lim", "cos", "sin", "cosh", "sinh", "sign", "rank", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "gcd", "lcm", "mod", "bmod", "deg", "dim", "ker", "hom", "liminf", "limsup"]);
export const SPACES = { quad: "1em", qquad: "2em", ",": "0.17em", ";": "0.28em", ":": "0.22em", " ": "0.25em", "!": "-0.1em", enspace: "0.5em", thinspace: "0.17em" };
export const ACCENTS = { hat: "^", widehat: "^", bar: "¯", overline: "¯", tilde: "˜", widetilde: "˜", dot: "˙", vec: "→", overrightarrow: "→", ddot: "¨", check: "ˇ", widecheck: "ˇ" };
export const SIZES = new Set(["big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl", "Biggr", "bigm", "middle", "textstyle", "displaystyle", "limits", "nolimits", "scriptstyle", "nonumber", "notag"]);
export const FONTS = { mathrm: "normal", text: "normal", textrm: "normal", mathsf: "normal", operatorname: "normal", textbf: "bold", textit: "normal", mathit: "normal", mbox: "normal", boldsymbol: "bold", bm: "bold", mathfrak: "normal", mathscr: "script", mathbb: "double-struck", mathcal: "script", mathbf: "bold" };

export const FENCES = { pmatrix: "()", bmatrix: "[]", vmatrix: "||", Vmatrix: "‖‖", Bmatrix: "{}" };
export const DOUBLE = { E: "𝔼", R: "ℝ", P: "ℙ", N: "ℕ", Z: "ℤ", Q: "ℚ", C: "ℂ", F: "𝔽", 1: "𝟙" };
export const SCRIPT = { D: "𝒟", L: "ℒ", N: "𝒩", F: "ℱ", B: "ℬ", Y: "𝒴", X: "𝒳" };
