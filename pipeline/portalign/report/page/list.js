// A list of any length: only the rows in sight exist. Focus stays on the list, the active row is named by
// aria-activedescendant, so a row may leave the document without taking the focus with it.

let listsMade = 0;

class VirtualList {
  constructor(host, { rowHeight, render, activate, keys }) {
    Object.assign(this, { host, rowHeight, render, activate, keys });
    this.id = `list${listsMade++}`;
    this.items = [];
    this.active = -1;
    this.space = el("div", { class: "list-space", role: "presentation" });
    host.append(this.space);
    host.tabIndex = 0;
    host.addEventListener("scroll", () => this.draw(), { passive: true });
    host.addEventListener("keydown", (event) => this.onKey(event));
    host.addEventListener("click", (event) => {
      const row = event.target.closest("[data-at]");
      if (row) this.choose(Number(row.dataset.at), event);
    });
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(items, active = -1) {
    this.items = items;
    this.active = Math.min(active, items.length - 1);
    this.space.style.height = `${items.length * this.rowHeight}px`;
    if (this.active >= 0) this.reveal(this.active);
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.host.scrollTop / this.rowHeight) - 4);
    const last = Math.min(this.items.length, Math.ceil((this.host.scrollTop + this.host.clientHeight) / this.rowHeight) + 4);
    const rows = [];
    for (let at = first; at < last; at++) {
      const row = this.render(this.items[at], at === this.active);
      row.id = `${this.id}-${at}`;
      row.dataset.at = at;
      row.style.top = `${at * this.rowHeight}px`;
      row.style.height = `${this.rowHeight}px`;
      if (at === this.active) row.classList.add("active");
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
    const named = this.active >= first && this.active < last ? `${this.id}-${this.active}` : "";
    if (named) this.host.setAttribute("aria-activedescendant", named);
    else this.host.removeAttribute("aria-activedescendant");
  }

  reveal(at) {
    const top = at * this.rowHeight;
    const height = this.host.clientHeight;
    if (top < this.host.scrollTop || top + this.rowHeight > this.host.scrollTop + height) {
      this.host.scrollTop = Math.max(0, top - (height - this.rowHeight) / 2);
    }
  }

  move(at) {
    if (!this.items.length) return;
    this.active = Math.max(0, Math.min(at, this.items.length - 1));
    const top = this.active * this.rowHeight;
    const height = this.host.clientHeight;
    if (top < this.host.scrollTop) this.host.scrollTop = top;
    if (top + this.rowHeight > this.host.scrollTop + height) this.host.scrollTop = top + this.rowHeight - height;
    this.draw();
  }

  choose(at, event) {
    this.move(at);
    this.activate(this.items[at], event);
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.host.clientHeight / this.rowHeight) - 1);
    const goes = {
      ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity,
    }[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (goes !== undefined) this.move(Math.max(0, Math.min(this.active + goes, this.items.length - 1)));
    else if (event.key === "Enter" || event.key === " ") this.active >= 0 && this.choose(this.active, event);
    else if (!(this.keys && this.active >= 0 && this.keys(event.key, this.items[this.active], this.active))) return;
    event.preventDefault();
  }
}
