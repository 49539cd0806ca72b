// One step, from its verdict to its environment.

class StepView {
  constructor(data, host) {
    this.host = host;
    this.data = data;
    if (!data.outcome) {
      host.replaceChildren(el("p", { class: "notice" }, t("This step has no result to show.")));
      return;
    }
    this.step = new StepModel(data);
    host.replaceChildren(...[
      this.verdict(), this.begins(), this.findings(), this.probe(), this.blames(), this.growth(), this.explorer(), this.curves(),
      this.environment(), ...this.lists(),
    ].filter(Boolean));
    const first = this.step.first();
    if (first !== null) this.select(first);
  }

  verdict() {
    const { data } = this;
    return el("section", { class: "card verdict-card", "data-outcome": data.outcome },
      el("p", { class: "big" }, data.word),
      el("p", { class: "headline" }, data.headline),
      data.reservations.map(([rule, text]) => el("p", { class: "reservation" }, el("b", {}, rule), " ", text)),
      data.next ? el("p", { class: "next" }, t("next"), " ", el("code", {}, data.next)) : null);
  }

  begins() {
    const { origins, unresolved, n_inherited: nInherited } = this.data;
    if (!origins.length && !unresolved.length) return null;
    const places = (spots, kind) => el("ul", { class: "spots" }, spots.map((spot) => el("li", {},
      el("button", { type: "button", class: `spot ${kind}`, onclick: () => this.follow(spot) },
        el("span", { class: "mark", "aria-hidden": "true" }, kind === "origin" ? "◆" : "✕"),
        el("span", { class: "name" }, spot.label), spot.kind ? el("span", { class: "type" }, t(spot.kind)) : null))));
    return section("Where it begins",
      origins.length ? places(origins, "origin") : null,
      unresolved.length ? [el("p", { class: "dim" }, t("differs, and where it begins is not resolved")), places(unresolved, "unresolved")] : null,
      nInherited ? el("p", { class: "dim" }, `${nInherited.toLocaleString("en")} ${t("more differ only because something before them does.")}`) : null);
  }

  findings() {
    const { findings } = this.data;
    if (!findings.length) return null;
    return section("Why", this.articles(findings));
  }

  probe() {
    const { probe } = this.data;
    return probe ? section("On portalign's own inputs", el("p", { class: "reservation" }, probe.text), this.articles(probe.findings)) : null;
  }

  articles(findings) {
    return el("div", { class: "findings" }, findings.map((finding) => el("article", { class: "finding" },
      el("p", { class: "chips" },
        el("span", { class: `chip k-${dashed(finding.kind)}` }, t(finding.kind)),
        finding.rule ? el("span", { class: "chip" }, finding.rule) : null,
        finding.kind === "cause" ? el("span", { class: "chip" }, t(finding.is_confirmed ? "confirmed by its repair" : "a hint")) : null),
      el("p", { class: "claim" }, finding.claim),
      finding.evidence ? el("p", {}, finding.evidence) : null,
      typeof finding.before === "number" ? el("p", { class: "dim" }, `${t("difference before and after the repair")}: ${shown(finding.before)} → ${shown(finding.after)}`) : null,
      finding.fitted.length ? table(null, finding.fitted.map(([name, value]) => [name, shown(value, 8)]), { class: "values" }) : null,
      finding.remedy ? el("pre", { class: "remedy" }, finding.remedy) : null,
      el("p", { class: "where" }, finding.where.map(([label, row]) => this.link(label, row))),
      finding.ruled_out.length ? el("p", { class: "dim" }, `${t("ruled out")}: ${finding.ruled_out.join(", ")}`) : null)));
  }

  blames() {
    const { blames } = this.data;
    if (!blames.length) return null;
    return section("Which link of an iteration", table(["iteration", "link", "what was found", "tensor"],
      blames.map((blame) => [blame.iteration, t(blame.part), blame.text, this.link(blame.label, blame.row)]), { class: "lines" }));
  }

  growth() {
    const { growth } = this.data;
    if (!growth.length) return null;
    const place = el("div", {});
    const buttons = growth.map((each, at) => el("button", { type: "button", "aria-pressed": "false", onclick: () => draw(at) }, t(each.name)));
    const draw = (chosen) => {
      buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === chosen)));
      const each = growth[chosen];
      const label = `${t("Error growth along the depth")}: ${t(each.name)}`;
      place.replaceChildren(
        plot(growthPlot(this.step, each), { height: 340, label, onPoint: (row) => this.select(row, true) }),
        ...(each.n_all > each.rows.length ? [el("p", { class: "dim" }, `${each.rows.length.toLocaleString("en")} / ${each.n_all.toLocaleString("en")}: ${t("of each stretch of neighbours the worst is drawn")}`)] : []));
    };
    draw(0);
    return section("Error growth along the depth", el("span", { class: "choice", role: "group" }, buttons), place);
  }

  explorer() {
    const { step } = this;
    this.trees = step.trees.map((tree, side) => new TreeView(tree, t(["reference", "candidate"][side]), (node) => this.enter(side, node)));
    this.list = new TensorList(step, (row) => this.select(row));
    this.place = el("div", { class: "detail-place", "aria-live": "polite" });
    const search = el("input", {
      type: "search", id: "search", placeholder: t("search modules and tensors"), "aria-label": t("search modules and tensors"),
      "aria-keyshortcuts": "/", oninput: (event) => this.search(event.target.value.trim()),
    });
    return section("Modules and tensors", el("div", { class: "explorer" },
      el("div", { class: "explorer-main" }, search, el("div", { class: "trees" }, this.trees.map((view) => view.element)), this.list.element),
      this.place));
  }

  curves() {
    const { curves } = this.data;
    if (!curves.length) return null;
    return section("Over the iterations", el("div", { class: "curves" }, curves.map((curve) => el("figure", {},
      el("figcaption", {}, t(curve.name)), plot(curvePlot(curve), { height: 320, label: t(curve.name) })))));
  }

  environment() {
    const { sides } = this.data;
    const names = [...new Set(sides.flatMap((side) => side.lines.map(([name]) => name)))];
    const values = sides.map((side) => new Map(side.lines));
    return folded("Environment of both sides", null, () => [
      el("table", { class: "lines environment" },
        el("thead", {}, el("tr", {}, el("th", {}), sides.map((side) => el("th", { scope: "col" }, t(side.role))))),
        el("tbody", {}, names.map((name) => {
          const cells = values.map((known) => known.get(name) ?? "–");
          return el("tr", { class: new Set(cells).size > 1 ? "unlike" : null }, el("th", { scope: "row" }, name), cells.map((cell) => el("td", {}, cell)));
        }))),
      this.bullets(sides.flatMap((side) => side.lifted)),
    ]);
  }

  lists() {
    const { data } = this;
    const texts = (title, lines) => (lines.length ? folded(title, lines.length, () => this.bullets(lines)) : null);
    return [
      data.unpaired.length ? folded("On one side only", data.n_unpaired.toLocaleString("en"), () => [
        data.n_unpaired > data.unpaired.length ? el("p", { class: "dim" }, `${data.unpaired.length} / ${data.n_unpaired}; report.json`) : null,
        table(["side", "tensor", "why", ""], data.unpaired.map(([role, key, reason, isPromised]) => [t(role), key, reason, isPromised ? t("promised") : ""]), { class: "lines" }),
      ].filter(Boolean)) : null,
      texts("Notes", data.notes), texts("Weights carried", data.audit), texts("Files", data.files),
      folded("Settings", data.settings.length, () => table(null, data.settings, { class: "lines" })),
    ].filter(Boolean);
  }

  bullets(lines) { return el("ul", { class: "bullets" }, lines.map((line) => el("li", {}, line))); }

  link(label, row) {
    if (row < 0) return el("span", { class: "name" }, label);
    return el("button", { type: "button", class: "link name", onclick: () => this.select(row, true) }, label);
  }

  follow(spot) {
    if (spot.row >= 0) return this.select(spot.row, true);
    if (spot.node >= 0) { this.trees[0].select(spot.node); this.enter(0, spot.node); }
    this.bring();
  }

  // A module was chosen in one tree: show its tensors, and its counterpart in the other tree.
  enter(side, node) {
    const tree = this.trees[side].tree;
    const rows = tree.rowsBelow(node);
    const own = tree.rows[node];
    const other = this.trees[1 - side];
    if (own.length) other.select(other.tree.nodeOfRow[own[0]]);
    this.list.within({ name: tree.path(node), rows });
    const worst = this.list.rows()[0];
    if (worst !== undefined) this.show(worst);
  }

  // A tensor was chosen: show it, and its module in both trees.
  select(row, isFar = false) {
    this.trees.forEach((view) => view.select(view.tree.nodeOfRow[row]));
    this.show(row);
    if (isFar) this.bring();
  }

  show(row) {
    this.list.select(row);
    this.place.replaceChildren(detail(this.step, row));
  }

  bring() { this.place.closest("section").scrollIntoView({ block: "start", behavior: "smooth" }); }

  search(query) {
    const found = query ? this.step.found(query) : [];
    this.trees.forEach((view) => view.filter(query, found));
    this.list.search(query);
  }
}
