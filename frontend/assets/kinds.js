// What the five kinds of datasets are called, and what each is for.

const KINDS = {
  paired: ["pair", "pairs", "Two responses a prompt: to label, and to train on preferences."],
  prompts: ["prompt", "prompts", "No responses: checkpoints answer them in evaluations and comparisons."],
  demonstrations: ["demonstration", "demonstrations", "One answer a prompt, to be learned from: for supervised fine-tuning."],
  unpaired: ["answer", "answers with a thumb", "One answer a prompt, wanted or not: for training on single answers, as KTO does."],
  ranked: ["ranking", "rankings", "Several answers in an order: to train on as they are, or as pairs that are made of them."],
};

export const noun = (kind) => KINDS[kind]?.[0] || kind;
export const nouns = (kind) => KINDS[kind]?.[1] || kind;
export const purpose = (kind) => KINDS[kind]?.[2] || "";
export const RULES = {
  best_worst: "The best against the worst",
  best_rest: "The best against each other answer",
  best_random: "The best against one of the others, by lot",
  adjacent: "Each against the next",
  all: "Each against each",
};
