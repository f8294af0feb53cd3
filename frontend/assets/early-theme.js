// Sets the theme before anything is painted, on pages outside the frame.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("pl-theme");
  } catch {
    // Storage is off: the system decides.
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = chosen === "dark" || chosen === "light" ? chosen : dark ? "dark" : "light";
}
