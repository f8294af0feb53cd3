// Sends name and password, then goes to `next` when that is an address of this site, else Home.

import { post } from "./api.js";

const form = document.getElementById("form");
const failure = document.getElementById("error");
const submit = document.getElementById("submit");

// Only a path of this very site: "//evil.example", "/\evil.example" and "https:…" resolve to another origin.
export function destination(next) {
  if (!next || !next.startsWith("/") || !URL.canParse(next, location.origin)) return "/";
  const address = new URL(next, location.origin);
  if (address.origin !== location.origin || address.pathname.startsWith("//") || address.pathname === "/sign-in") return "/";
  return address.pathname + address.search + address.hash;
}

function fail(text) {
  failure.textContent = text;
  failure.hidden = false;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [name, password] = [form.elements.name.value.trim(), form.elements.password.value];
  if (!name || !password) return fail("Enter both name and password.");
  failure.hidden = true;
  submit.disabled = true;
  submit.classList.add("busy");
  try {
    await post("/session", { name, password }, { quiet: true });
    location.replace(destination(new URLSearchParams(location.search).get("next")));
  } catch (error) {
    fail([error.detail, error.remedy].filter(Boolean).join(" "));
    submit.disabled = false;
    submit.classList.remove("busy");
    form.elements.password.select();
  }
  return undefined;
});
