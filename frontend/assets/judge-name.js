// What a judge is called on pages: a model by its own name, a part by its, a panel's member by its place and what it is.

export function judgeName(judge, { judge: asked, judge_model: model, judge_models: models = {} }) {
  if (judge === "llm" && model) return model.name;
  const [, place] = judge.match(/^panel\/(\d+)$/) || [];
  const member = place && asked.members?.[place - 1];
  if (!member) return judge.replaceAll("_", " ");
  const own = models[`members.${place - 1}.checkpoint`];
  return `member ${place} of the panel (${member.name === "llm" && own ? own.name : member.name.replaceAll("_", " ")})`;
}
