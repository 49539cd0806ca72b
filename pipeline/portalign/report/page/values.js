// What was kept of a tensor's values: first values of both sides, a histogram of the difference, a heatmap of one slice.

function valuesOf(step, row) {
  const sample = step.data.samples[row];
  if (!sample) {
    const isEqual = step.verdict.at(row) === "identical";
    return [el("p", { class: "dim" }, isEqual ? t("Both sides are equal, so no values were kept.")
      : `${t("No values were kept of this tensor, only of origins and the worst others")}: ${Object.keys(step.data.samples).length} / ${step.n.toLocaleString("en")}.`)];
  }
  const made = [];
  if (sample.counts.length) {
    made.push(el("h4", {}, t("candidate minus reference")), plot(histogramPlot(sample), { height: 150, label: t("histogram of the difference") }));
    if (sample.n_seen < step.value("n_elements", row)) made.push(el("p", { class: "dim" }, `${sample.n_seen.toLocaleString("en")} / ${step.value("n_elements", row).toLocaleString("en")} ${t("elements, evenly chosen")}`));
  }
  if (sample.heat) {
    made.push(el("h4", {}, t("size of the difference"), " ", el("code", {}, sample.heat.where)),
      plot(heatPlot(sample.heat), { height: 230, label: t("heatmap of the difference") }));
  }
  made.push(el("h4", {}, t("first values")), table(["", "reference", "candidate"],
    sample.reference.map((value, at) => [`[${at}]`, value, sample.candidate[at] ?? ""]), { class: "values" }));
  return made;
}

function histogramPlot({ counts, edge }) {
  const width = (2 * edge) / counts.length;
  const x = counts.map((_, at) => -edge + width * (at + 0.5));
  return () => [[{
    type: "bar", x, y: counts, width, marker: { color: color("twin") }, hovertemplate: "%{x:.2e}: %{y}<extra></extra>",
  }], base(150, {
    margin: { l: 48, r: 8, t: 6, b: 26 }, showlegend: false, bargap: 0.06, dragmode: false,
    xaxis: { nticks: 5, tickformat: ".0e", showgrid: false, zeroline: true }, yaxis: { type: "log", dtick: 2, rangemode: "tozero" },
  })];
}

const HEAT_LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function heatPlot(heat) {
  const level = (cell) => (HEAT_LEVELS.includes(cell) ? heat.least + (HEAT_LEVELS.indexOf(cell) / (HEAT_LEVELS.length - 1)) * (heat.most - heat.least) : null);
  const rows = Array.from({ length: heat.rows }, (_, at) => [...heat.cells.slice(at * heat.columns, (at + 1) * heat.columns)]);
  const z = rows.map((cells) => cells.map(level));
  const text = rows.map((cells, at) => cells.map((cell, other) => ({ ".": "0", "!": "NaN / inf" }[cell] ?? (10 ** z[at][other]).toExponential(1))));
  const along = (n, extent) => Array.from({ length: n }, (_, at) => Math.floor((at + 0.5) * (extent / n)));
  return () => [[{
    type: "heatmap", z, text, x: along(heat.columns, heat.extent[1]), y: along(heat.rows, heat.extent[0]),
    hovertemplate: "[%{y}, %{x}]: %{text}<extra></extra>", hoverongaps: true, xgap: 0.5, ygap: 0.5,
    colorscale: [[0, color("heat-low")], [0.5, color("heat-middle")], [1, color("heat-high")]],
    colorbar: { thickness: 8, outlinewidth: 0, tickprefix: "10<sup>", ticksuffix: "</sup>", nticks: 4, tickformat: ".1~f", tickfont: { size: 10, color: color("dim") } },
  }], base(230, {
    margin: { l: 40, r: 4, t: 6, b: 26 }, showlegend: false, dragmode: false,
    xaxis: { showgrid: false, nticks: 6 }, yaxis: { autorange: "reversed", showgrid: false, nticks: 6, exponentformat: "none" },
  })];
}
