// One side's module tree: collapsible, searchable, coloured by what the pairs below a module turned out to be.

const MARKS = { none: "·", identical: "=", pass: "✓", undecided: "?", inherited: "✕", fail: "✕", origin: "◆" };

class TreeView {
  constructor(tree, title, onSelect) {
    Object.assign(this, { tree, onSelect });
    this.open = new Set(tree.roots.filter((node) => tree.children[node].length));
    this.kept = null; // nodes a search leaves, null without one
    this.selected = -1;
    const host = el("div", { role: "tree", class: "list tree", "aria-label": title });
    this.list = new VirtualList(host, {
      rowHeight: 26,
      render: (node) => this.row(node),
      activate: (node, event) => this.activate(node, event),
      keys: (key, node, at) => this.onKey(key, node, at),
    });
    this.element = el("div", { class: "tree-side" }, el("h3", {}, title), host);
    this.openDown(tree.roots);
    this.refresh();
  }

  // Where a node has one child only there is nothing to choose: open it too.
  openDown(nodes) {
    let level = nodes;
    while (level.length === 1) {
      this.open.add(level[0]);
      level = this.tree.children[level[0]];
    }
    level.filter((node) => this.tree.worst[node] > 2).slice(0, 40).forEach((node) => this.open.add(node));
  }

  visible() {
    const found = [];
    const left = [...this.tree.roots].reverse();
    while (left.length) {
      const node = left.pop();
      if (this.kept && !this.kept.has(node)) continue;
      found.push(node);
      if (this.kept ? this.opened(node) : this.open.has(node)) {
        const children = this.tree.children[node];
        for (let at = children.length - 1; at >= 0; at--) left.push(children[at]);
      }
    }
    return found;
  }

  opened(node) { return this.kept ? !this.closed.has(node) : this.open.has(node); }

  refresh() {
    const nodes = this.visible();
    this.list.show(nodes, nodes.indexOf(this.selected >= 0 ? this.selected : nodes[0]));
  }

  row(node) {
    const tree = this.tree;
    const level = LEVELS[tree.worst[node]];
    const hasInner = tree.children[node].length > 0;
    const isOpen = this.opened(node);
    const failing = tree.nFailing[node];
    return el("div", {
      role: "treeitem",
      class: `row node l-${level} v-${dashed(tree.verdicts[node] || "none")}`,
      style: `padding-left: ${6 + tree.depths[node] * 14}px`,
      title: `${tree.path(node)}${tree.types[node] ? ` · ${tree.types[node]}` : ""}`,
      "aria-level": tree.depths[node] + 1,
      "aria-expanded": hasInner ? String(isOpen) : null,
      "aria-selected": String(node === this.selected),
      "aria-label": `${tree.names[node]} ${tree.types[node]}, ${t(level)}`,
    },
      el("span", { class: "chevron", "data-chevron": hasInner, "aria-hidden": "true" }, hasInner ? (isOpen ? "▾" : "▸") : ""),
      el("span", { class: "mark", "aria-hidden": "true" }, MARKS[level]),
      el("span", { class: "name" }, tree.names[node]),
      el("span", { class: "type" }, tree.types[node]),
      failing ? el("span", { class: "failing" }, failing) : null);
  }

  activate(node, event) {
    if (event?.target?.closest?.("[data-chevron]")) return this.toggle(node);
    this.select(node);
    this.onSelect(node);
  }

  toggle(node, open = !this.opened(node)) {
    const set = this.kept ? this.closed : this.open;
    if (this.kept ? open : !open) set.delete(node);
    else set.add(node);
    const scroll = this.list.host.scrollTop;
    const nodes = this.visible();
    this.list.show(nodes, nodes.indexOf(node));
    this.list.host.scrollTop = scroll;
    this.list.move(this.list.active);
  }

  onKey(key, node, at) {
    const inner = this.tree.children[node];
    if (key === "ArrowRight" && inner.length) {
      if (this.opened(node)) this.list.move(at + 1);
      else this.toggle(node, true);
    } else if (key === "ArrowLeft") {
      const parent = this.list.items.indexOf(this.tree.parents[node]);
      if (inner.length && this.opened(node)) this.toggle(node, false);
      else if (parent >= 0) this.list.move(parent);
    } else return false;
    return true;
  }

  // Show a node as the chosen one, with everything around it opened.
  select(node) {
    this.selected = node;
    if (node >= 0) {
      if (this.kept && !this.kept.has(node)) this.kept = null;
      for (const above of this.tree.above(node)) this.kept ? this.closed.delete(above) : this.open.add(above);
    }
    this.refresh();
  }

  // Leave only the nodes that a search finds, and what is around them.
  filter(query, foundRows) {
    this.closed = new Set();
    if (!query) this.kept = null;
    else {
      this.kept = new Set();
      const wanted = query.toLowerCase();
      const keep = (node) => { for (let at = node; at >= 0 && !this.kept.has(at); at = this.tree.parents[at]) this.kept.add(at); };
      for (let node = 0; node < this.tree.n; node++) {
        const text = `${this.tree.path(node)} ${this.tree.types[node]}`.toLowerCase();
        if (text.includes(wanted) || this.tree.rows[node].some((row) => foundRows[row])) keep(node);
      }
    }
    this.refresh();
  }
}
