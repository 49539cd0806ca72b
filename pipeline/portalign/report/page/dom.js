// Making elements. Texts only ever become text nodes: no name of a model is parsed as HTML.

let words = {}; // English -> the reader's language

const t = (text) => words[text] ?? text;

function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

function section(title, ...children) {
  return el("section", { class: "card" }, el("h2", {}, t(title)), ...children);
}

function folded(title, n, content) {
  const body = el("div", { class: "folded-body" });
  const made = el("details", { class: "card folded" },
    el("summary", {}, t(title), n === null ? null : el("span", { class: "count" }, n)), body);
  made.addEventListener("toggle", () => { if (!body.hasChildNodes()) body.append(content()); });
  return made;
}

function table(head, rows, attributes) {
  return el("table", attributes,
    head ? el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, t(name))))) : null,
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell))))));
}

// Numbers come rounded; "nan" and "inf" come as words, a number that isn't there as null.
function shown(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e5 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits + 1)));
}

function share(used) {
  if (typeof used !== "number") return shown(used);
  return used < 10 ? `${Math.round(used * 100)}%` : `${used.toExponential(1)}×`;
}

const dashed = (words) => words.replaceAll(" ", "-"); // as part of a class

async function unpacked(id) {
  const text = document.getElementById(id).textContent;
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
