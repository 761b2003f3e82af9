// Builds and updates the page's nodes. Everything from outside becomes a text node or an attribute value, never markup.

const SVG = new Set(["svg", "g", "rect", "path", "line", "circle", "polyline", "polygon"]);

/** Makes an element. Attributes that are null, undefined or false are left out; arrays of children are flattened. */
export function h(tag, attributes, ...children) {
  const node = SVG.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    // The policy of the page forbids both, so a slip here would be noticed only by its absence.
    if (name.startsWith("on") || name === "style") throw new Error(`no ${name} attributes`);
    node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Makes the children of `from` equal to `to` while keeping nodes, so that focus, scroll and selection stay. */
export function update(from, to) {
  const wanted = [...to.childNodes];
  wanted.forEach((next, index) => {
    const now = from.childNodes[index];
    if (!now) from.append(next);
    else if (!isSame(now, next)) now.replaceWith(next);
    else morph(now, next);
  });
  while (from.childNodes.length > wanted.length) from.lastChild.remove();
}

function isSame(a, b) {
  return a.nodeName === b.nodeName
    && (a.nodeType !== Node.ELEMENT_NODE || a.getAttribute("data-key") === b.getAttribute("data-key"));
}

function morph(from, to) {
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if (from.hasAttribute("data-keep")) return;
  for (const { name, value } of [...to.attributes]) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    // Whether details are open is the reader's choice.
    if (!to.hasAttribute(name) && !(name === "open" && from.nodeName === "DETAILS")) from.removeAttribute(name);
  }
  update(from, to);
}

/** A bar of `share` (0-1) of its width. */
export function bar(share, tone = "accent") {
  const width = Math.max(0, Math.min(1, share || 0)) * 100;
  return h("svg", { class: `bar ${tone}`, viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    h("rect", { class: "track", width: 100, height: 6 }),
    h("rect", { class: "fill", width: width.toFixed(2), height: 6 }));
}

/** A small line of values; gaps where there are none. */
export function sparkline(values, tone = "accent") {
  const known = values.filter((value) => value !== null && value !== undefined);
  const top = Math.max(...known, 0) || 1;
  const step = 120 / Math.max(values.length - 1, 1);
  const points = values.map((value, index) =>
    value === null || value === undefined ? null : `${(index * step).toFixed(1)},${(29 - (value / top) * 26).toFixed(1)}`);
  const lines = [];
  let line = [];
  for (const point of [...points, null]) {
    if (point) line.push(point);
    else if (line.length) { lines.push(line); line = []; }
  }
  return h("svg", { class: `spark ${tone}`, viewBox: "0 0 120 30", preserveAspectRatio: "none", "aria-hidden": "true" },
    lines.map((line) => {
      const [first, last] = [line[0].split(",")[0], line.at(-1).split(",")[0]];
      return [
        h("polygon", { points: `${first},30 ${line.join(" ")} ${last},30` }),
        h("polyline", { points: line.join(" ") }),
      ];
    }));
}

/** A word with a mark, so that colour never says it alone. */
export function chip(tone, text, title) {
  const mark = { good: "●", warn: "▲", bad: "■", note: "◆", idle: "○" }[tone] ?? "○";
  return h("span", { class: `chip ${tone}`, title }, h("span", { class: "mark", "aria-hidden": "true" }, mark), text);
}

/** A card with a heading. */
export function card(title, hint, ...children) {
  return h("section", { class: "card" },
    h("div", { class: "card-head" }, h("h2", {}, title), hint ? h("p", { class: "hint" }, hint) : null),
    children);
}

/** A table that scrolls by itself on narrow screens. `columns` are `[title, class]`, rows are arrays of cells. */
export function table(label, columns, rows, attributes = {}) {
  return h("div", { class: `scroll ${attributes.class ?? ""}`, tabindex: 0, role: "region", "aria-label": label },
    h("table", attributes,
      h("thead", {}, h("tr", {}, columns.map(([title, kind]) => h("th", { scope: "col", class: kind }, title)))),
      h("tbody", {}, rows.map((row) => {
        const { cells, ...rest } = Array.isArray(row) ? { cells: row } : row;
        return h("tr", rest, cells.map((cell, index) => h("td", { class: columns[index]?.[1] }, cell)));
      }))));
}

/** What stands where nothing is yet, with what to do about it. */
export function empty(text, command) {
  return h("div", { class: "empty" }, h("p", {}, text), command ? h("code", {}, command) : null);
}
