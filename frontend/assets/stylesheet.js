// Styles that only some pages need: `await stylesheet("runs.css")` before anything is drawn.

export const stylesheet = (name) =>
  new Promise((resolve) => {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = new URL(`./${name}`, import.meta.url).href;
    sheet.onload = sheet.onerror = resolve;
    document.head.append(sheet);
  });
