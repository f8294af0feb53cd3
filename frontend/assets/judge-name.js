// What a judge is called on pages: a model by its own name, a part by its.

export const judgeName = (judge, evaluation) => (judge === "llm" && evaluation.judge_model ? evaluation.judge_model.name : judge.replaceAll("_", " "));
