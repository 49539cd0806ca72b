// All pairs of a step, or those of one module, worst first or in the order in which they were computed.

const SHOWS = { all: () => true, "not passing": (level) => level > 2, origins: (level) => level === 6 };

class TensorList {
  constructor(step, onSelect) {
    Object.assign(this, { step, onSelect, show: "all", order: "worst first", module: null, query: "" });
    this.ranked = step.worstFirst();
    const host = el("div", { role: "listbox", class: "list tensors", "aria-label": t("tensors") });
    this.list = new VirtualList(host, {
      rowHeight: 26, render: (row) => this.row(row), activate: (row) => this.onSelect(row),
    });
    this.count = el("span", { class: "count", role: "status" });
    this.scope = el("span", {});
    this.element = el("div", { class: "tensor-list" },
      el("div", { class: "controls" },
        el("h3", {}, t("tensors"), " ", this.count), this.scope,
        this.choice("show", Object.keys(SHOWS)), this.choice("order", ["worst first", "in order"])),
      el("div", { class: "row head", "aria-hidden": "true" },
        ["", t("tensor"), t("verdict"), t("rel. diff"), "float64", t("used")].map((name) => el("span", {}, name))),
      host);
    this.refresh();
  }

  choice(name, values) {
    const buttons = values.map((value) => el("button", {
      type: "button", "aria-pressed": String(this[name] === value),
      onclick: () => {
        this[name] = value;
        buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(values[at] === value)));
        this.refresh();
      },
    }, t(value)));
    return el("span", { class: "choice", role: "group" }, buttons);
  }

  rows() {
    const inModule = this.module && new Set(this.module.rows);
    const found = this.query && this.step.found(this.query);
    const rows = this.ranked.filter((row) => SHOWS[this.show](this.step.levels[row])
      && (!inModule || inModule.has(row)) && (!found || found[row]));
    return this.order === "in order" ? rows.sort((a, b) => this.step.value("order", a) - this.step.value("order", b) || a - b) : rows;
  }

  refresh() {
    const rows = this.rows();
    this.count.textContent = rows.length.toLocaleString("en");
    this.scope.replaceChildren(...(this.module ? [el("button", {
      type: "button", class: "scope", title: t("show the tensors of all modules"), onclick: () => this.within(null),
    }, this.module.name, " ✕")] : []));
    this.list.show(rows, rows.indexOf(this.selected));
  }

  // Show one module's tensors only; null shows all.
  within(module) { this.module = module; this.refresh(); }

  search(query) { this.query = query; this.refresh(); }

  select(row) {
    this.selected = row;
    const at = this.list.items.indexOf(row);
    if (at < 0) { // it is hidden: show everything rather than nothing
      this.module = null;
      this.refresh();
    } else this.list.show(this.list.items, at);
  }

  row(row) {
    const { step } = this;
    const level = LEVELS[step.levels[row]];
    return el("div", {
      role: "option", class: `row l-${level} v-${dashed(step.verdict.at(row))}`,
      "aria-selected": String(row === this.selected), title: step.label(row),
    },
      el("span", { class: "mark", "aria-label": t(level) }, MARKS[level]),
      el("span", { class: "name" }, step.label(row)),
      el("span", { class: "verdict-word" }, t(step.verdict.at(row))),
      el("span", { class: "number" }, shown(step.value("rel", row))),
      el("span", { class: "number" }, shown(step.value("twin", row))),
      el("span", { class: "number" }, share(step.value("used", row))));
  }
}
