// What the five kinds of datasets are called, and what each is for.

const KINDS = {
  paired: ["pair", "pairs", "Two responses a prompt: to label, and to train on preferences."],
  prompts: ["prompt", "prompts", "No responses: checkpoints answer them in evaluations and comparisons."],
  demonstrations: ["answer", "single answers", "One answer a prompt: for supervised training elsewhere. It can be looked through and exported."],
  unpaired: ["answer", "answers with a thumb", "One answer a prompt, wanted or not: for training like KTO elsewhere. It can be looked through and exported."],
  ranked: ["ranking", "rankings", "Several answers in an order: make pairs of them to train on preferences."],
};

export const nouns = (kind) => KINDS[kind]?.[1] || kind;
export const purpose = (kind) => KINDS[kind]?.[2] || "";
export const RULES = {
  best_worst: "The best against the worst",
  best_rest: "The best against each other answer",
  adjacent: "Each against the next",
  all: "Each against each",
};
