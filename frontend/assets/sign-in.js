// Sends name and password, then goes to `next` when that is an address of this site, else Home.

import { get, post } from "./api.js";

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

const REFUSED = {
  cancelled: "The sign-in was not finished.",
  state: "That sign-in was not begun in this browser, or too long ago. Start again.",
  token: "The sign-in provider did not confirm who you are. Try again; if it happens again, tell an admin.",
  email: "Your sign-in provider has not verified your email address. Verify it there, then try again.",
  domain: "Email addresses of your domain are not let in here. Ask an admin.",
  unknown: "Nobody here expects you yet. Ask an admin for an account under your email address.",
  name: "There is an account of your name already. Sign in to it with its password and connect it on the Account page.",
  closed: "This account is closed. Ask an admin.",
  taken: "That identity belongs to another account.",
  away: "The sign-in provider does not answer now. Try again later, or sign in with a password.",
};

const query = new URLSearchParams(location.search);
if (query.has("refused")) fail(REFUSED[query.get("refused")] ?? REFUSED.token);

// The other way in, where there is one; without it the form is all there is.
get("/sso", {}, { quiet: true }).then(({ name }) => {
  if (!name) return;
  const link = document.getElementById("provider");
  link.textContent = `Sign in with ${name}`;
  link.href = `/api/v1/sso/start?next=${encodeURIComponent(destination(query.get("next")))}`;
  link.hidden = false;
}, () => {});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [name, password] = [form.elements.name.value.trim(), form.elements.password.value];
  if (!name || !password) return fail("Enter both name and password.");
  failure.hidden = true;
  submit.disabled = true;
  submit.classList.add("busy");
  try {
    await post("/session", { name, password }, { quiet: true });
    location.replace(destination(query.get("next")));
  } catch (error) {
    fail([error.detail, error.remedy].filter(Boolean).join(" "));
    submit.disabled = false;
    submit.classList.remove("busy");
    form.elements.password.select();
  }
  return undefined;
});
