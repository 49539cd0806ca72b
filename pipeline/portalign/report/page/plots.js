// The plots. Plotly is unpacked and started when the first of them comes into sight, and a moment after all else:
// starting it takes longer than everything that the page does itself.

const HEAD_START_MS = 300;
let started = null;

function plotly() {
  started ??= new Promise((go) => { setTimeout(go, HEAD_START_MS); }).then(() => unpacked("plotly")).then((source) => {
    document.head.append(el("script", {}, source));
    return window.Plotly;
  });
  return started;
}

const drawn = new Map(); // element -> function that gives its traces and layout, for a change of colours

function color(name) { return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(); }

function base(height, more = {}) {
  const axis = {
    gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("line-strong"), automargin: true,
    tickfont: { size: 11, color: color("dim") }, title: { font: { size: 11.5, color: color("dim") }, standoff: 6 },
  };
  return {
    height, margin: { l: 56, r: 16, t: 10, b: 32 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: color("sans"), size: 12, color: color("ink") }, showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
    hoverlabel: { font: { family: color("mono"), size: 12 }, bgcolor: color("card"), bordercolor: color("line-strong"), align: "left" },
    hovermode: "closest", dragmode: "zoom", ...more,
    xaxis: { ...axis, ...more.xaxis }, yaxis: { ...axis, exponentformat: "power", ...more.yaxis },
    ...(more.yaxis2 ? { yaxis2: { ...axis, exponentformat: "power", ...more.yaxis2 } } : {}),
  };
}

// A place for a plot, drawn when it comes into sight. `make` returns [traces, layout]; `onPoint` gets a row.
function plot(make, { height, label, onPoint }) {
  const place = el("div", { class: "plot", role: "img", "aria-label": label, style: `height: ${height}px` });
  const seen = new IntersectionObserver(async ([entry]) => {
    if (!entry.isIntersecting) return;
    seen.disconnect();
    const library = await plotly();
    if (!place.isConnected) return;
    await library.newPlot(place, ...make(), { displaylogo: false, responsive: true, displayModeBar: false });
    place.dataset.drawn = "yes";
    drawn.set(place, make);
    if (onPoint) place.on("plotly_click", ({ points }) => { if (points[0].customdata !== undefined) onPoint(points[0].customdata); });
  }, { rootMargin: "200px" });
  seen.observe(place);
  return place;
}

async function redraw() {
  if (!started) return;
  const library = await plotly();
  for (const [place, make] of drawn) {
    if (place.isConnected) library.react(place, ...make());
    else drawn.delete(place);
  }
}

const positive = (value) => typeof value === "number" && value > 0;

// What is exactly zero has no place on a log axis: it is drawn on the floor, hollow.
function floorOf(values) {
  const least = values.reduce((found, value) => (positive(value) && value < found ? value : found), Infinity);
  return Number.isFinite(least) ? 10 ** (Math.floor(Math.log10(least)) - 1) : 1e-18;
}

function topOf(values) { return values.reduce((found, value) => (positive(value) && value > found ? value : found), 1e-16); }

function growthPlot(step, growth) {
  const { rows } = growth;
  const of = (name) => rows.map((row) => step.value(name, row));
  const [native, twin, ownReference, ownCandidate] = ["rel", "twin", "own_reference", "own_candidate"].map(of);
  const floor = floorOf([...native, ...twin, ...ownReference, ...ownCandidate]);
  const x = rows.map((_, at) => at);
  const isLong = rows.length > 200; // markers would touch, and cost most of the time
  const lifted = (values) => values.map((value) => (value === 0 ? floor : positive(value) ? value : null));
  const label = (row) => step.label(row);
  const text = rows.map((row) => `<b>${escaped(label(row))}</b><br>${t("native difference")} ${shown(step.value("rel", row))}`
    + `<br>${t("float64 difference")} ${shown(step.value("twin", row))}`
    + `<br>${t("own rounding")} ${shown(step.value("own_reference", row))} / ${shown(step.value("own_candidate", row))}`);
  const own = x.filter((at) => positive(ownReference[at]) || positive(ownCandidate[at]));
  const larger = (at) => Math.max(ownReference[at] || 0, ownCandidate[at] || 0);
  const edge = (values) => ({
    x: own, y: values, mode: "lines", hoverinfo: "skip", type: "scatter", showlegend: false, line: { width: 1, color: color("band-line") },
  });
  const line = (name, values, ink, more = {}) => ({
    name: t(name), x, y: lifted(values), customdata: rows, text, hovertemplate: "%{text}<extra></extra>", type: "scatter",
    mode: isLong ? "lines" : "lines+markers", connectgaps: true, line: { color: ink, width: 1.5 },
    marker: { size: 5, color: ink, symbol: values.map((value) => (value === 0 ? "circle-open" : "circle")) }, ...more,
  });
  const levels = rows.map((row) => LEVELS[step.levels[row]]);
  const inks = { origin: color("fail"), fail: color("fail"), inherited: color("inherited"), undecided: color("undecided") };
  const origins = x.filter((at) => levels[at] === "origin");
  const traces = (is) => [
    { ...edge(own.map(() => floor / 10)), line: { width: 0 } },
    { ...edge(own.map(larger)), name: t("own rounding of each side"), showlegend: true, fill: "tonexty", fillcolor: color("band") },
    edge(own.map((at) => lifted(ownReference)[at])), edge(own.map((at) => lifted(ownCandidate)[at])),
    line("float64 difference", twin, color("twin")),
    line("native difference", native, color("ink"), { marker: {
      size: 6, color: levels.map((level) => inks[level] ?? color("ink")),
      symbol: native.map((value) => (value === 0 ? "circle-open" : "circle")) } }),
    ...(origins.length ? [{
      name: t("begins here"), x: origins, y: origins.map((at) => lifted(native)[at] ?? floor), customdata: origins.map((at) => rows[at]),
      text: origins.map((at) => text[at]), hovertemplate: "%{text}<extra></extra>", mode: "markers", type: "scatter",
      marker: { size: 13, symbol: "diamond", color: color("fail"), line: { width: 2, color: color("card") } },
    }] : []),
  ];
  const every = Math.max(1, Math.ceil(rows.length / 9));
  const ticks = x.filter((at) => at % every === 0);
  const layout = () => base(340, {
    xaxis: { tickvals: ticks, ticktext: ticks.map((at) => shortened(label(rows[at]))), tickangle: 0, showgrid: false, range: [-0.5, rows.length - 0.5] },
    yaxis: { type: "log", title: { text: t("relative difference") }, dtick: 2, range: [Math.log10(floor) - 0.5, Math.log10(topOf([...native, ...twin])) + 0.7] },
    shapes: origins.slice(0, 50).map((at) => ({
      type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper", line: { color: color("fail"), width: 1, dash: "dot" }, layer: "below",
    })),
  });
  return () => [traces(), layout()];
}

// Plotly reads a few tags in its texts: what comes from a model must not be one.
function escaped(text) { return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;"); }

// The end of a module's path is what tells it apart: "self.query" of "encoder.layer.0.attention.self.query out.0".
function shortened(label, length = 20) {
  const name = label.replace(/ (in|out)\.\S+$/, "").split(".").slice(-2).join(".");
  return escaped(name.length > length ? `…${name.slice(1 - length)}` : name);
}
