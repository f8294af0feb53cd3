// How answers are sampled: three fields that the arena and the evaluation form share.

import { schemaForm } from "./form.js";

const SCHEMA = {
  properties: {
    temperature: { type: "number", minimum: 0, maximum: 2, default: 0.7, title: "Temperature", description: "0 takes the likeliest token; higher is more varied." },
    top_p: { type: "number", exclusiveMinimum: 0, maximum: 1, default: 1, title: "Top p", description: "Sample among the likeliest tokens that together have this." },
    max_new_tokens: { type: "integer", minimum: 1, maximum: 2048, default: 256, title: "Longest answer", description: "In tokens." },
  },
};

// {element, value(), fail(field, text), clear()}
export const samplingForm = ({ values = {}, onchange } = {}) => schemaForm(SCHEMA, { values, onchange });
