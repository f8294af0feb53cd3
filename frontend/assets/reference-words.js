// How the reference writes a schema's type, and the few marks in our own descriptions.

import { h } from "./dom.js";

// "text", "integer or null", "list of Card", "one of a, b".
export function typeOf(schema, api) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    const model = api.components.schemas[name];
    return model.enum ? typeOf(model, api) : name;
  }
  const several = schema.anyOf || schema.oneOf;
  if (several) return [...new Set(several.map((one) => typeOf(one, api)))].join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.join(", ");
  if (schema.type === "array") return schema.items ? `list of ${typeOf(schema.items, api)}` : "list";
  if (schema.type === "object") return "object";
  if (schema.type === "string") return { uuid: "id", "date-time": "time" }[schema.format] || bounded("text", schema.minLength, schema.maxLength, "characters");
  return bounded(schema.type || "anything", schema.minimum ?? schema.exclusiveMinimum, schema.maximum ?? schema.exclusiveMaximum, "");
}

function bounded(name, least, most, unit) {
  if (most === undefined || most === null) return name;
  return `${name}, ${least === undefined || least === null ? "at most" : `${least} to`} ${most} ${unit}`.trim();
}

// Text with `code` and **strong** as elements.
export const words = (text) => text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) =>
  part.startsWith("`") ? h("code", part.slice(1, -1)) : part.startsWith("**") ? h("strong", part.slice(2, -2)) : part);
