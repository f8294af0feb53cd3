// Which objectives fit some words, those whose name or title does first; and objectives by family.

export function found(objectives, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (!wanted.length) return objectives;
  const scored = objectives.map((one) => ({ one, score: score(one, wanted) })).filter(({ score: points }) => points > 0);
  return scored.sort((left, right) => right.score - left.score).map(({ one }) => one);
}

// Every word must be somewhere; a name counts most, then a beginning of one, then the rest.
function score(objective, wanted) {
  const names = [objective.name, objective.title].map((name) => name.toLowerCase());
  const { paper } = objective;
  const rest = [objective.family, objective.summary, paper.title, paper.authors, paper.year, paper.arxiv, objective.fidelity.replace("_", " "), ...objective.needs_words.map((need) => need.words)].join(" ").toLowerCase();
  let points = 0;
  for (const word of wanted) {
    if (names.some((name) => name === word)) points += 8;
    else if (names.some((name) => name.startsWith(word))) points += 4;
    else if (names.some((name) => name.includes(word))) points += 2;
    else if (rest.includes(word)) points += 1;
    else return 0;
  }
  return points;
}

export function byFamily(objectives) {
  const families = new Map();
  for (const one of objectives) families.set(one.family, [...(families.get(one.family) || []), one]);
  return families;
}
