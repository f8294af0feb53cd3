// The frame at work: mounts components, sets title and actions, theme, help, sign-out, and the lost-connection banner.

import { connection, del } from "./api.js";
import { errorCard, fill, toastError } from "./dom.js";
import { bind, showHelp } from "./keys.js";
import { startSwitch, tellOutside } from "./projects.js";

// The signed-in person: {id, name, admin, role, project, projects}; the role is the one in the project of this page.
export const me = window.plumbline.me;
export const mayResearch = ["admin", "owner", "researcher"].includes(me.role);
export const isOwner = ["admin", "owner"].includes(me.role);
export const isAdmin = me.admin;

// Why nothing of a hub can be had here, as a sentence; null where hubs may be asked.
export const noHub = me.network === "open" ? null : `Hubs are switched off on this server (${me.network === "offline" ? "PLUMBLINE_OFFLINE" : "HF_HUB_OFFLINE"}). An admin can unset that and start Plumbline again.`;

// What `?name=` says, or null.
export const param = (name) => new URLSearchParams(location.search).get(name);

// Keep a filter in the address, so that it can be bookmarked; null takes it out.
export function setParam(name, value) {
  const address = new URL(location.href);
  if (value === null || value === undefined || value === "") address.searchParams.delete(name);
  else address.searchParams.set(name, value);
  history.replaceState(null, "", address);
}

// Say where one is, beyond the kind of page: title("IPO on helpful pairs").
export function title(text) {
  document.title = `${text} · Plumbline`;
  document.getElementById("pl-title").textContent = text;
}

// The page's actions at the top right; the last one is the primary one.
export const actions = (...children) => fill(document.getElementById("pl-actions"), ...children);

// Called by every component that `frontend.page.component` put on the page.
export async function mount(name, place, props, gradio) {
  if (place.dataset.mounted) return;
  place.dataset.mounted = name;
  try {
    const module = await import(`./${name}.js`);
    place.removeAttribute("aria-busy");
    place.replaceChildren();
    await module.mount(place, props, gradio);
  } catch (error) {
    place.removeAttribute("aria-busy");
    place.replaceChildren(errorCard(error, () => location.reload()));
  }
}

const THEMES = { system: "light", light: "dark", dark: "system" };

function switchTheme() {
  const next = THEMES[document.documentElement.dataset.themeChoice] || "system";
  try {
    if (next === "system") localStorage.removeItem("pl-theme");
    else localStorage.setItem("pl-theme", next);
  } catch {
    // Storage is off: there is nowhere to keep the choice.
  }
  window.plumbline.paint();
  showTheme();
  dispatchEvent(new CustomEvent("pl-theme"));
}

function showTheme() {
  const choice = document.documentElement.dataset.themeChoice;
  const control = document.getElementById("pl-theme");
  control.textContent = { system: "◐", light: "☀", dark: "☾" }[choice];
  control.title = `Theme: ${choice}`;
  control.setAttribute("aria-label", `Theme: ${choice}. Switch to ${THEMES[choice]}.`);
}

async function signOut() {
  connection.leaving = true;
  try {
    await del("/session", { quiet: true });
  } catch (error) {
    if (error.status !== 401) {
      connection.leaving = false;
      return toastError(error);
    }
  }
  return location.assign("/sign-in");
}

function banner(text) {
  const place = document.getElementById("pl-banner");
  place.hidden = !text;
  place.textContent = text || "";
}

function start() {
  document.getElementById("pl-theme").addEventListener("click", switchTheme);
  document.getElementById("pl-help").addEventListener("click", showHelp);
  document.getElementById("pl-sign-out").addEventListener("click", signOut);
  const menu = document.querySelector(".pl-menu-button");
  menu.addEventListener("click", () => {
    const open = document.getElementById("pl-side").classList.toggle("open");
    menu.setAttribute("aria-expanded", String(open));
  });
  document.addEventListener("click", (event) => {
    const user = document.querySelector(".pl-user[open]");
    if (user && !user.contains(event.target)) user.open = false;
  });
  startSwitch(document.getElementById("pl-project"));
  connection.addEventListener("outside", (event) => tellOutside(event.detail));
  bind("help", "?", "Keyboard shortcuts", showHelp, "Everywhere");
  connection.addEventListener("lost", () => banner("No connection to the server. Trying again…"));
  connection.addEventListener("back", () => {
    banner("Connected again.");
    setTimeout(() => connection.online && banner(null), 2000);
  });
  showTheme();
  document.documentElement.dataset.framed = "true";
}

start();
