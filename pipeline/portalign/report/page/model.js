// A step's data as the views ask for it: columns of pairs, two trees, and what the pairs say of every node.

// How much a row weighs when a node shows the worst of what is below it.
const LEVELS = ["none", "identical", "pass", "undecided", "inherited", "fail", "origin"];

const ROOT = "(root)";

function column(packed) {
  return { at: (row) => packed.texts[packed.rows[row]], rows: packed.rows, texts: packed.texts };
}

class StepModel {
  constructor(data) {
    this.data = data;
    const given = data.tensors;
    this.n = given.label.length;
    this.columns = given;
    for (const name of ["kind", "verdict", "basis", "outcome", "place", "how", "type", "candidate_name", "shapes", "dtypes", "worst_index"]) {
      this[name] = column(given[name]);
    }
    this.levels = Array.from({ length: this.n }, (_, row) => this.levelOf(row));
    this.search = null; // lower-case labels, made when first needed
    this.trees = ["reference", "candidate"].map((role, side) => new TreeModel(data.trees[side], given[role], this));
  }

  levelOf(row) {
    const outcome = this.outcome.at(row);
    if (outcome === "fail") return { origin: 6, inherited: 4 }[this.place.at(row)] ?? 5;
    if (outcome !== "pass") return 3;
    return this.verdict.at(row) === "identical" ? 1 : 2;
  }

  // Rows from worst to best: origins, other failures by what they use of their allowance, and so on.
  worstFirst() {
    const used = this.columns.used.map((value) => (typeof value === "number" ? value : Infinity));
    const rows = Array.from({ length: this.n }, (_, row) => row);
    return rows.sort((a, b) => this.levels[b] - this.levels[a] || used[b] - used[a] || a - b);
  }

  found(query) {
    this.search ??= this.columns.label.map((label) => label.toLowerCase());
    const wanted = query.toLowerCase();
    return this.search.map((label) => label.includes(wanted));
  }

  // The first row to look at: an origin, else the worst that doesn't pass, else none.
  first() {
    const origin = [...this.data.origins, ...this.data.unresolved].find((spot) => spot.row >= 0);
    if (origin) return origin.row;
    const worst = this.n ? this.worstFirst()[0] : -1;
    return worst >= 0 ? worst : null;
  }

  label(row) { return this.columns.label[row]; }
  value(name, row) { return this.columns[name][row]; }
}

class TreeModel {
  constructor(tree, nodeOfRow, step) {
    Object.assign(this, tree);
    this.n = this.names.length;
    this.nodeOfRow = nodeOfRow;
    this.children = Array.from({ length: this.n }, () => []);
    this.roots = [];
    this.depths = new Array(this.n).fill(0);
    this.rows = Array.from({ length: this.n }, () => []);
    nodeOfRow.forEach((node, row) => { if (node >= 0) this.rows[node].push(row); });
    this.parents.forEach((parent, node) => {
      if (parent < 0) this.roots.push(node);
      else { this.children[parent].push(node); this.depths[node] = this.depths[parent] + 1; }
    });
    this.summarise(step);
  }

  // Of every node with all below it: how many tensors, how many fail, the worst level and its verdict.
  summarise(step) {
    this.worst = new Array(this.n).fill(0);
    this.verdicts = new Array(this.n).fill("");
    this.nTensors = new Array(this.n).fill(0);
    this.nFailing = new Array(this.n).fill(0);
    for (let node = this.n - 1; node >= 0; node--) {
      for (const row of this.rows[node]) {
        this.nTensors[node] += 1;
        if (step.levels[row] > 3) this.nFailing[node] += 1;
        this.raise(node, step.levels[row], step.verdict.at(row));
      }
      const parent = this.parents[node];
      if (parent < 0) continue;
      this.nTensors[parent] += this.nTensors[node];
      this.nFailing[parent] += this.nFailing[node];
      this.raise(parent, this.worst[node], this.verdicts[node]);
    }
  }

  raise(node, level, verdict) {
    if (level <= this.worst[node]) return;
    this.worst[node] = level;
    this.verdicts[node] = verdict;
  }

  path(node) {
    const parts = [];
    for (let at = node; at >= 0; at = this.parents[at]) parts.unshift(this.names[at]);
    return parts.length > 1 && parts[0] === ROOT ? parts.slice(1).join(".") : parts.join(".");
  }

  above(node) {
    const found = [];
    for (let at = this.parents[node]; at >= 0; at = this.parents[at]) found.push(at);
    return found;
  }

  // All rows of a node and of everything below it.
  rowsBelow(node) {
    const found = [];
    const left = [node];
    while (left.length) {
      const at = left.pop();
      for (const row of this.rows[at]) found.push(row);
      for (const child of this.children[at]) left.push(child);
    }
    return found;
  }
}
