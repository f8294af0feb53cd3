// What the fields and questions of a labelling tool's export mean: which is the prompt, which question decides, who is who.

import { badge, button, field, h } from "./dom.js";

const MEANINGS = [["", "not said"], ["3", "first, much better"], ["2", "first, better"], ["1", "first is better"], ["0", "a tie"], ["-1", "second is better"], ["-2", "second, better"], ["-3", "second, much better"], ["both_bad", "both are bad"], ["skip", "a skip"]];
const USUAL = { a: "1", left: "1", 1: "1", first: "1", b: "-1", right: "-1", 2: "-1", second: "-1", tie: "0", equal: "0", both_bad: "both_bad" };

// onchange({survey}) or onchange({config}) reads the rows anew.
export function surveyForm(preview, format, onchange) {
  const { parts } = preview;
  const known = preview.survey || { prompt: "", system: null, responses: [], question: null, ratings: [], rationale: null, values: {}, names: {}, drafts: false, suggestions: false };
  const options = (names, chosen, none) => [none === null ? null : h("option", { value: "", selected: !chosen }, none), names.map((name) => h("option", { value: name, selected: name === chosen }, name))];
  const pick = (names, chosen, none = "–") => h("select", options(names, chosen, none));
  const questions = parts.questions.map((one) => one.name);
  const prompt = pick(parts.fields, known.prompt, "Choose a field");
  const system = pick(parts.fields, known.system);
  const responses = h("select", { multiple: true, size: Math.min(6, Math.max(2, parts.fields.length)) }, parts.fields.map((name) => h("option", { value: name, selected: known.responses.includes(name) }, name)));
  const question = pick(questions, known.question, known.ratings.length ? `Ratings: ${known.ratings.join(", ")}` : "None: without labels");
  const rationale = pick(questions, known.rationale);
  const drafts = h("input", { type: "checkbox", checked: known.drafts });
  const suggestions = h("input", { type: "checkbox", checked: known.suggestions });
  const config = h("textarea", { rows: 3, maxlength: 200000, placeholder: "<View> … </View>", spellcheck: false });
  const names = parts.annotators.slice(0, 50).map((id) => [id, h("input", { type: "text", maxlength: 120, value: known.names[id] || "", placeholder: id })]);
  let values = [];
  const meanings = h("div.pl-form");
  const draw = () => {
    const asked = parts.questions.find((one) => one.name === question.value);
    values = asked && asked.kind !== "ranking" && asked.kind !== "text"
      ? asked.answers.map((answer) => [answer, h("select", MEANINGS.map(([value, text]) => h("option", { value, selected: value === guess(answer, known, responses) }, text)))]) : [];
    meanings.replaceChildren(...values.map(([answer, select]) => field(`“${answer}” means`, select)));
  };
  question.addEventListener("change", draw);
  draw();
  const read = () => {
    const said = Object.fromEntries(values.filter(([, select]) => select.value !== "").map(([answer, select]) => [answer, Number.isNaN(Number(select.value)) ? select.value : Number(select.value)]));
    const survey = {
      prompt: prompt.value, system: system.value || null, responses: [...responses.selectedOptions].map((one) => one.value),
      question: question.value || null, ratings: question.value ? [] : known.ratings, rationale: rationale.value || null,
      values: { ...known.values, ...said }, names: Object.fromEntries(names.filter(([, input]) => input.value.trim()).map(([id, input]) => [id, input.value.trim()])),
      drafts: drafts.checked, suggestions: suggestions.checked,
    };
    onchange({ format, survey });
  };
  const check = (input, text) => h("label.pl-check", input, h("span", text));
  return h("section.pl-card.pl-stack", h("div.pl-row", h("h2", "What the export means"), preview.survey ? null : badge("please say", "warn")),
    h("div.pl-form", field("Prompt", prompt), field("Responses, in order", responses, { help: "Two for pairs; one field may hold a list." }),
      field("Question that decides", question), field("Question that says why", rationale), field("System turn", system)),
    meanings,
    h("div.pl-stack.tight", check(drafts, "Read drafts too"), check(suggestions, "Read suggestions of models, as labels of judges")),
    names.length ? h("details", h("summary", `Names of ${names.length} annotators`), h("div.pl-form", names.map(([id, input]) => field(id, input)))) : null,
    format === "label_studio" ? h("details", h("summary", "Guess from the labeling config"), h("div.pl-stack", field("Labeling config", config, { help: "From the project's settings: it says which field each answer shows." }),
      h("div.pl-row.end", button("Guess again", () => onchange({ format, config: config.value }))))) : null,
    h("div.pl-row.end", button("Read the rows so", read, { kind: preview.survey ? "" : "primary" })));
}

function guess(answer, known, responses) {
  if (answer in known.values) return String(known.values[answer]);
  const place = [...responses.selectedOptions].findIndex((one) => one.value === answer);
  return place === 0 ? "1" : place === 1 ? "-1" : USUAL[answer.toLowerCase()] || "";
}
