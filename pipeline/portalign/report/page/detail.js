// One pair, whole: what was decided and why, the numbers, and what was kept of its values.

function detail(step, row) {
  const of = (name) => step.value(name, row);
  const level = LEVELS[step.levels[row]];
  const [shape, dtype] = [step.shapes.at(row), step.dtypes.at(row)];
  const facts = [
    ["shape", shape], ["dtype", dtype], ["module type", step.type.at(row)],
    ["candidate", step.candidate_name.at(row) || ROOT], ["paired by", step.how.at(row)], ["decided by", t(step.basis.at(row))],
    ["relative difference", shown(of("rel"), 3)], ["in float64", shown(of("twin"), 3)],
    ["own rounding, reference", shown(of("own_reference"), 3)], ["own rounding, candidate", shown(of("own_candidate"), 3)],
    ["used of what is allowed", share(of("used"))], ["largest difference", shown(of("max_abs"), 3)],
    ["mean difference", shown(of("mean_abs"), 3)], ["in units of the last place", of("max_ulp") < 0 ? "–" : shown(of("max_ulp"), 3)],
    ["cosine", shown(of("cosine"), 8)], ["elements that differ", `${of("n_mismatched").toLocaleString("en")} / ${of("n_elements").toLocaleString("en")}`],
    ...(of("n_bad") ? [["NaN or infinite on one side", of("n_bad").toLocaleString("en")]] : []),
  ];
  const worst = of("n_mismatched") ? table(["worst element", "reference", "candidate"],
    [[step.worst_index.at(row), shown(of("worst_reference"), 8), shown(of("worst_candidate"), 8)]], { class: "values" }) : null;
  const place = step.place.at(row);
  return el("div", { class: `detail l-${level} v-${dashed(step.verdict.at(row))}` },
    el("p", { class: "detail-kind" }, el("span", { class: "mark" }, MARKS[level]), t(step.verdict.at(row)),
      place ? el("span", { class: "place" }, t(PLACES[place])) : null),
    el("h3", { class: "detail-name" }, step.label(row)),
    el("p", {}, step.value("reason", row)),
    worst,
    el("dl", { class: "facts" }, facts.filter(([, value]) => value !== "").map(([name, value]) =>
      el("div", {}, el("dt", {}, t(name)), el("dd", {}, value)))),
    valuesOf(step, row));
}

const PLACES = { origin: "it begins here", inherited: "inherited", unresolved: "where it begins is not resolved" };
