// The page behind an invitation's link: what it opens, then joining with a new account or as the person signed in.

import { post } from "./api.js";

const place = (id) => document.getElementById(id);
const form = place("form");
const token = location.hash.slice(1);

// The link opens once and is a secret till then: it leaves the address bar, and what the browser remembers of the page.
history.replaceState(null, "", location.pathname);

function fail(error) {
  place("error").textContent = [error.detail, error.remedy].filter(Boolean).join(" ");
  place("error").hidden = false;
}

function draw(offer) {
  place("text").textContent = `${offer.invited_by} invites you to the project “${offer.project}” as ${offer.role}.`;
  place("hint").textContent = `Meant for ${offer.hint}; open until ${new Date(offer.expires_at).toLocaleString()}.`;
  place("as").hidden = !offer.signed_in_as;
  place("as").textContent = `Join as ${offer.signed_in_as}`;
  place("or").hidden = !offer.signed_in_as;
  place("fields").hidden = false;
}

async function join(body) {
  place("error").hidden = true;
  const buttons = [place("as"), place("submit")];
  buttons.forEach((one) => { one.disabled = true; });
  try {
    await post("/invitation/accept", { token, ...body }, { quiet: true });
    location.replace("/");
  } catch (error) {
    fail(error);
    buttons.forEach((one) => { one.disabled = false; });
  }
}

place("as").addEventListener("click", () => join({}));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [name, password] = [form.elements.name.value.trim(), form.elements.password.value];
  if (!name) return fail({ detail: "Choose a name." });
  if (password.length < 10) return fail({ detail: "The password needs ten characters or more." });
  return join({ name, password });
});

if (!/^[\w-]{20,100}$/.test(token)) fail({ detail: "This link is not whole.", remedy: "Copy all of it, up to its last character." });
else post("/invitation/look", { token }, { quiet: true }).then(draw, fail);
