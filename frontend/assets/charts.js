// Charts with Plotly: live lines, interval bands, forest plots, histograms; and small lines without it.
// A run has a color of its own, chosen by its id from a palette that color-blind people can tell apart.

import { h } from "./dom.js";

// Blue, orange, green, pink, yellow, violet, red and slate, so light or dark that any two differ for everybody, people
// who see no red or no green included, and that each stands out from its theme.
const LIGHT = ["#0071bc", "#d25e15", "#14935c", "#cd6f9b", "#745603", "#4f3781", "#6d2a24", "#375c64"];
const DARK = ["#53b4ea", "#e88519", "#6bd19b", "#b27c9e", "#fed137", "#686bd9", "#c3423e", "#c4d6f7"];
const HEIGHT = 240;
const DASHES = ["solid", "dash", "dot", "dashdot"];

const isDark = () => document.documentElement.dataset.theme === "dark";
const palette = () => (isDark() ? DARK : LIGHT);
export const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function hash(text) {
  let value = 2166136261;
  for (const letter of String(text)) value = Math.imul(value ^ letter.codePointAt(0), 16777619);
  return value >>> 0;
}

// The color of a run as its place in the palette, the color itself, and the dash of a run.
export const runTone = (id) => hash(id) % LIGHT.length;
export const runColor = (id) => colorAt(runTone(id));
export const runDash = (id) => DASHES[Math.floor(hash(id) / LIGHT.length) % DASHES.length];
export const colorAt = (tone) => palette()[tone % LIGHT.length];

// The places of runs that stand in one chart: each its own, or the next that no older run has. With more runs than
// colors, those beyond have their own, whoever has it too.
export function runTones(ids) {
  const tones = new Map();
  for (const id of [...new Set(ids)].sort()) {
    const taken = new Set(tones.values());
    const own = runTone(id);
    const free = LIGHT.map((_, further) => (own + further) % LIGHT.length).find((tone) => !taken.has(tone));
    tones.set(id, free ?? own);
  }
  return tones;
}

let loading = null;
export function plotly() {
  loading ||= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("./plotly.min.js", import.meta.url);
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      reject(new Error("the chart library did not load"));
    };
    document.head.append(script);
  });
  return loading;
}

function layout({ title, x, y, log = false, range = null, legend = false, height = HEIGHT, shapes = [], rows = null, share = true, stacked = false, shares = "" }, width) {
  // `shares` names the axes ("x", "y" or "xy") whose numbers are parts of one, which are written as percent.
  const axis = (text, name) => ({
    ...(shares.includes(name) && { tickformat: ".0%", hoverformat: ".1%" }),
    title: { text: broken(text, name === "x" ? width - 70 : height - 60), font: { size: 12, color: variable("--pl-muted") }, standoff: 6 },
    gridcolor: variable("--pl-line"), zerolinecolor: variable("--pl-line-strong"), linecolor: variable("--pl-line"), automargin: true,
    tickfont: { size: 11, color: variable("--pl-muted") },
  });
  const heading = title ? broken(escapeMarkup(title), (width - 70) / 1.15) : "";
  return {
    ...(rows && named(rows)),
    title: heading ? { text: heading, font: { size: 13, weight: 600 }, x: 0, xref: "paper", pad: { l: 0 } } : undefined,
    xaxis: { ...axis(x, "x"), ...(rows && share && { range: [-0.02, 1.02], tickformat: ".0%" }) },
    yaxis: rows ? { visible: false, range: [rows.length - 0.4, -0.75], fixedrange: true } : { ...axis(y, "y"), type: log ? "log" : "linear", range: range || undefined },
    height, margin: { l: rows ? 12 : 52, r: 12, t: heading ? 17 + 17 * heading.split("<br>").length : 12, b: 8 }, showlegend: legend, shapes,
    legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom", font: { size: 12 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: variable("--pl-muted"), activecolor: variable("--pl-text") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: variable("--pl-font"), color: variable("--pl-text") },
    barmode: stacked ? "stack" : "group",
    hovermode: rows ? "closest" : "x unified", hoverlabel: { bgcolor: variable("--pl-raised"), bordercolor: variable("--pl-line"), font: { color: variable("--pl-text"), size: 12 } },
    uirevision: "keep", // zoom and hidden lines survive new data
  };
}

// Text of twelve pixels in lines that fit so many.
function broken(text, pixels) {
  const most = Math.max(12, Math.floor(pixels / 6.4));
  const lines = [""];
  for (const word of String(text ?? "").split(" ")) {
    if (lines.at(-1) && lines.at(-1).length + word.length > most) lines.push("");
    lines.push(`${lines.pop()}${word} `);
  }
  return lines.map((line) => line.trim()).join("<br>");
}

// The name of a forest plot's row stands above its interval, where a phone has room for it.
const named = (rows) => ({
  annotations: rows.map((row, index) => ({
    xref: "paper", x: 0, y: index, yshift: 17, xanchor: "left", showarrow: false, align: "left",
    text: escapeMarkup(`${row.name} (n = ${row.n})`), font: { size: 12, color: variable("--pl-text") },
  })),
});

// Plotly reads a little markup in labels; names that people chose must not become any.
export const escapeMarkup = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const CONFIG = {
  responsive: true, displaylogo: false,
  displayModeBar: window.matchMedia("(hover: hover)").matches ? "hover" : false, // without a pointer it would lie on the chart at all times
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"], toImageButtonOptions: { format: "svg", filename: "plumbline" },
};

// Draws `figure()` into `place` now, on draw(), and when the theme changes; several calls in one frame draw once.
// A figure is {data, more} with the options of `layout`; `more` are Plotly's own and come last.
export function chart(place, label, figure) {
  const box = h("div.pl-chart", { role: "img", "aria-label": label });
  place.append(box);
  let waiting = false;
  let gone = false;
  let near = false; // a chart that nobody can see is not drawn until it comes near
  let late = false;
  let width = 0; // that titles and names were broken for
  let revision = 0; // lines grow in place: without a new number Plotly takes them for unchanged
  async function paint() {
    waiting = late = false;
    const library = await plotly();
    if (gone) return;
    if (!box.clientWidth) { // hidden in the meantime: it would be drawn for no width, and stay so
      late = true;
      return;
    }
    const { data, more, ...options } = figure();
    box.style.minHeight = 0; // what was kept free for it
    box.style.height = `${options.height || HEIGHT}px`; // a window that is resized, a phone that is turned: Plotly asks the box
    width = box.clientWidth;
    await library.react(box, data, { ...layout(options, width), ...more, datarevision: (revision += 1) }, CONFIG);
    if (box.clientWidth && box._fullLayout.width !== box.clientWidth) await library.Plots.resize(box); // it was resized while nobody saw it
  }
  const draw = () => {
    late = true;
    if (waiting || gone || !near) return;
    waiting = true;
    requestAnimationFrame(() => paint().catch(() => { box.textContent = "The chart library did not load. Reload the page."; }));
  };
  const nearing = new IntersectionObserver((entries) => {
    near = entries.at(-1).isIntersecting;
    if (near && late) draw();
  }, { rootMargin: "100%" });
  nearing.observe(box);
  const sizing = new ResizeObserver(() => box.clientWidth && (late || (width && width !== box.clientWidth)) && draw());
  sizing.observe(box);
  addEventListener("pl-theme", draw);
  draw();
  return {
    element: box,
    draw,
    remove() {
      gone = true;
      nearing.disconnect();
      sizing.disconnect();
      removeEventListener("pl-theme", draw);
      if (window.Plotly) window.Plotly.purge(box);
      box.remove();
    },
  };
}

// The exponential moving average with its start corrected; a gap in the data stays a gap.
export function smoothed(values, weight) {
  let [sum, share] = [0, 0];
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return null;
    sum = weight * sum + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return sum / share;
  });
}

// const loss = lineChart(place, { title: "Loss", x: "Step", y: "nats" });
// loss.append({ id: run.id, name: run.name }, steps, values)         adds points after the last
// loss.replace({ id, name }, steps, values, { low, high })           sets all points, with an interval band
// loss.smoothing = 0.8; loss.draw()                                  the raw line stays, faint, under the smooth one
// series: {id, name, tone?, dash?}; the tone is a place in the palette, without one the line is a run's.
export function lineChart(place, options) {
  const lines = new Map();
  const self = chart(place, options.title || options.y, () => {
    const own = runTones([...lines.keys()]);
    const color = ({ id, tone }) => colorAt(tone ?? own.get(id));
    return {
      ...options,
      legend: options.legend ?? lines.size > 1,
      data: [...lines.values()].flatMap((line) => traces(line, color(line.series), self.smoothing, options.shares?.includes("y") ? ".1%" : ".4g")),
      shapes: empty() ? [] : options.shapes || [],
    };
  });
  const empty = () => [...lines.values()].every((line) => !line.x.length);
  const line = (series) => {
    if (!lines.has(series.id)) lines.set(series.id, { series, x: [], y: [], low: [], high: [] });
    return lines.get(series.id);
  };
  return Object.assign(self, {
    smoothing: options.smoothing ?? 0,
    append(series, x, y, { low = [], high = [] } = {}) {
      if (!x.length) return;
      const known = line(series);
      known.x.push(...x); known.y.push(...y); known.low.push(...low); known.high.push(...high);
      self.draw();
    },
    replace(series, x, y, { low = [], high = [] } = {}) {
      Object.assign(line(series), { series, x: [...x], y: [...y], low: [...low], high: [...high] });
      self.draw();
    },
    drop(id) {
      lines.delete(id);
      self.draw();
    },
    last: (id) => (lines.get(id)?.x.length ? lines.get(id).x.at(-1) : null),
  });
}

function traces({ series, x, y, low, high }, color, smoothing, digits) {
  const name = escapeMarkup(series.name);
  const common = { x, type: "scatter", mode: x.length < 2 ? "markers" : "lines", connectgaps: false };
  const band = low.length
    ? [
        { x, y: low, type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false },
        { x, y: high, type: "scatter", mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: translucent(color, 0.16), hoverinfo: "skip", showlegend: false },
      ]
    : [];
  const strong = { color, width: 1.8, dash: series.dash || "solid" };
  if (!smoothing || x.length < 3) return [...band, { ...common, y, name, line: strong, marker: { color }, hovertemplate: `%{y:${digits}}<extra>${name}</extra>` }];
  return [
    ...band,
    { ...common, y, name: `${name} (raw)`, line: { color: translucent(color, 0.3), width: 1 }, hovertemplate: `%{y:${digits}}<extra>raw</extra>`, showlegend: false },
    { ...common, y: smoothed(y, smoothing), name, line: strong, hovertemplate: `%{y:${digits}}<extra>${name}</extra>` },
  ];
}

export function translucent(color, opacity) {
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  return `rgba(${red},${green},${blue},${opacity})`;
}

// Rates with their intervals, one row each, and the even line: rows [{name, rate, low, high, n, color?}]. Without
// `share` they are no shares but numbers around 0; without bounds they are points.
export function forestPlot(place, { title = null, x = "Win rate", rows, share = true, even = share ? 0.5 : 0 }) {
  const words = share ? (value) => (value * 100).toFixed(1) : (value) => value.toFixed(2);
  const bounds = (row) => (row.low === null || row.high === null ? "" : ` (${words(row.low)}–${words(row.high)}${share ? " %" : ""})`);
  const shapes = () => [{ type: "line", x0: even, x1: even, yref: "paper", y0: 0, y1: 1, line: { color: variable("--pl-line-strong"), dash: "dot", width: 1 } }];
  return chart(place, title || x, () => ({
    title, x, y: "", height: 60 + 52 * rows.length, shapes: shapes(), rows, share,
    data: rows.map((row, index) => ({
      type: "scatter", mode: "markers", x: [row.rate], y: [index], name: escapeMarkup(row.name),
      marker: { color: row.color || colorAt(index), size: 10 },
      error_x: { type: "data", visible: row.low !== null && row.high !== null, symmetric: false, array: [row.high - row.rate], arrayminus: [row.rate - row.low], color: row.color || colorAt(index), thickness: 2.5, width: 6 },
      hovertemplate: `${share ? "%{x:.1%}" : "%{x:.2f}"}${bounds(row)}<extra></extra>`,
    })),
  }));
}

// Counts per bin: bins [{from, to, count}].
export const histogram = (place, { title = null, x, y = "Count", bins }) =>
  chart(place, title || x, () => ({
    title, x, y,
    data: [{
      type: "bar", x: bins.map((bin) => (bin.from + bin.to) / 2), y: bins.map((bin) => bin.count), width: bins.map((bin) => (bin.to - bin.from) * 0.92),
      marker: { color: colorAt(0) }, customdata: bins.map((bin) => `${bin.from}–${bin.to}`), hovertemplate: "%{customdata}: %{y}<extra></extra>",
    }],
  }));

// Counts over time, one part of each bar a person: at [moment], parts [{name, tone, counts, short?}]; `short` stands
// beside the color where the name is too long for it.
export const stackedBars = (place, { title = null, x, y, at, parts }) =>
  chart(place, title || y, () => ({
    title, x, y, legend: parts.length > 1, stacked: true,
    data: parts.map((part) => ({
      type: "bar", name: escapeMarkup(part.short || part.name), x: at, y: part.counts, marker: { color: colorAt(part.tone) },
      hovertemplate: `%{y}<extra>${escapeMarkup(part.name)}</extra>`,
    })),
  }));

// A line as small as a word, for tables; null is a gap.
export function sparkline(values, { color = variable("--pl-accent"), width = 96, height = 22, label = "Trend" } = {}) {
  const known = values.filter((value) => Number.isFinite(value));
  const svg = h("svg.pl-spark", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  if (known.length < 2) return svg;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const at = (value, index) => [
    (2 + (index / (values.length - 1)) * (width - 4)).toFixed(1),
    (height - 3 - ((value - low) / (high - low || 1)) * (height - 6)).toFixed(1),
  ];
  let path = "";
  let pen = "M";
  values.forEach((value, index) => {
    if (!Number.isFinite(value)) { pen = "M"; return; }
    path += `${pen}${at(value, index).join(" ")}`;
    pen = "L";
  });
  svg.append(h("path", { d: path, fill: "none", stroke: color, "stroke-width": 1.5, "stroke-linejoin": "round" }));
  return svg;
}
