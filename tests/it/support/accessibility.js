// What makes a page hard to use for somebody, found in the page as the browser shows it: by the criteria of WCAG 2.2 (A and AA)
// that a program can judge. Returns one line for each fault.
const faults = [];
const fault = (what, element) =>
  faults.push(element ? `${what}: ${element.outerHTML.replace(/\s+/g, " ").slice(0, 90)}` : what);
const all = (selector, root) => [...(root || document).querySelectorAll(selector)];
const isShown = (element) => element.checkVisibility({ visibilityProperty: true });

// Contrast (1.4.3): of each text with what is behind it, through every layer that shines through.
const parts = (text) => {
  const numbers = (text.match(/[\d.]+/g) || []).map(Number);
  return numbers.length > 3 ? numbers : [...numbers, 1];
};
const over = (top, ground) => [0, 1, 2].map((n) => top[n] * top[3] + ground[n] * (1 - top[3]));
const ground = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const colour = parts(getComputedStyle(at).backgroundColor);
    layers.push(colour);
    if (colour[3] > 0.99) break;
  }
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
};
const light = (colour) => {
  const linear = colour.map((value) => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const contrast = (one, two) => {
  const [a, b] = [light(one), light(two)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const text = walker.currentNode.textContent.trim();
  if (!text || !isShown(element) || element.closest(".skip, :disabled, title, option")) continue;
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const behind = ground(element);
  const found = contrast(over(parts(style.color), behind), behind);
  const isLarge = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
  if (found < (isLarge ? 3 : 4.5)) fault(`contrast ${found.toFixed(2)} of "${text.slice(0, 40)}"`);
}
// The same of borders of fields, which say where one can type (1.4.11).
for (const field of all("input:not([type=hidden], [type=checkbox], [type=radio]), select, textarea")) {
  if (!isShown(field) || field.disabled) continue;
  const found = contrast(parts(getComputedStyle(field).borderTopColor).slice(0, 3), ground(field.parentElement));
  if (found < 3) fault(`border contrast ${found.toFixed(2)}`, field);
}

// Names (4.1.2, 2.4.4, 3.3.2).
const textOf = (id) => document.getElementById(id)?.textContent.trim();
const nameOf = (element) =>
  element.getAttribute("aria-label")?.trim() ||
  (element.getAttribute("aria-labelledby") || "").split(/\s+/).map(textOf).filter(Boolean).join(" ") ||
  [...(element.labels || [])].map((label) => label.textContent.trim()).join(" ") ||
  (element.matches("a, button, summary, [role=button]") ? element.textContent.trim() : "") ||
  all("img[alt]", element).map((image) => image.alt).join(" ");
for (const control of all("a[href], button, summary, input:not([type=hidden]), select, textarea, [tabindex], [role=button]"))
  if (!nameOf(control)) fault("no name", control);
for (const field of all("input:not([type=hidden]), select, textarea"))
  if (!field.labels?.length && !field.getAttribute("aria-label")) fault("no label", field);
for (const label of all("label")) if (!label.control) fault("a label of nothing", label);
for (const image of all("img:not([alt])")) fault("an image without a text", image);
for (const image of all("svg:not([aria-hidden=true])"))
  if (!nameOf(image) && !image.querySelector("title")?.textContent.trim()) fault("a picture without a text", image);
for (const field of all("input[type=password]")) if (!field.autocomplete) fault("no autocomplete", field);
for (const group of new Set(all("input[type=radio]").map((one) => one.closest("fieldset"))))
  if (!group || !group.querySelector("legend")?.textContent.trim()) fault("radio buttons without a legend", group);

// References and ids (1.3.1).
const ids = all("[id]").map((one) => one.id);
for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) fault(`id twice: ${id}`);
for (const name of ["aria-labelledby", "aria-describedby", "aria-controls", "for"])
  for (const element of all(`[${name}]`))
    for (const id of element.getAttribute(name).split(/\s+/))
      if (!document.getElementById(id)) fault(`${name} leads nowhere`, element);
for (const hidden of all("[aria-hidden=true]"))
  if (hidden.matches("a, button, input") || hidden.querySelector("a, button, input")) fault("hidden, but can be reached", hidden);

// The page and its parts (1.3.1, 2.4.1, 2.4.2, 2.4.6, 3.1.1).
if (!document.documentElement.lang) fault("no language");
if (!document.title.trim()) fault("no title");
if (/user-scalable\s*=\s*no|maximum-scale/.test(document.querySelector("meta[name=viewport]")?.content || "")) fault("cannot be enlarged");
if (all("main").length !== 1) fault("not one main");
if (all("h1").length !== 1) fault("not one h1");
if (!document.querySelector("a.skip[href='#main']") && all("nav a").length > 3) fault("nothing leads past the navigation");
if (all("nav").length > 1) for (const nav of all("nav")) if (!nameOf(nav)) fault("a navigation without a name", nav);
for (const element of all("body > *"))
  if (!element.matches("header, main, footer, nav, .skip, script, style")) fault("outside of all landmarks", element);
let level = 1;
for (const heading of all("h1, h2, h3, h4, h5, h6")) {
  const next = Number(heading.tagName[1]);
  if (next > level + 1) fault(`a heading skips from ${level} to ${next}`, heading);
  if (!heading.textContent.trim()) fault("an empty heading", heading);
  level = next;
}

// Tables and lists (1.3.1).
for (const table of all("table:not([role=presentation])")) {
  if (!table.querySelector("th[scope=col]")) fault("a table without headers", table);
  if (!table.caption && !nameOf(table) && !table.closest("[role=region][aria-label]")) fault("a table without a name", table);
  for (const head of all("th:not([scope])", table)) fault("a header of nothing", head);
  const columns = table.querySelectorAll("thead th").length;
  for (const row of all("tbody tr", table))
    if (columns && row.cells.length !== columns) fault(`${row.cells.length} cells under ${columns} headers`, row);
}
for (const list of all("ul, ol")) for (const child of list.children) if (!child.matches("li")) fault("no item of a list", child);
for (const list of all("dl"))
  for (const child of list.children) if (!child.matches("dt, dd, div")) fault("no part of a list of terms", child);

// Room: nothing is wider than the window (1.4.10), and what is pressed is large enough (2.5.8).
if (document.documentElement.scrollWidth > window.innerWidth)
  fault(`wider than the window: ${document.documentElement.scrollWidth} over ${window.innerWidth}`);
for (const control of all("button, input:not([type=hidden], [type=radio]), select, .button")) {
  const box = control.getBoundingClientRect();
  if (isShown(control) && (box.width < 24 || box.height < 24)) fault(`only ${box.width} by ${box.height}`, control);
}
for (const scroller of all(".scroll"))
  if (scroller.scrollWidth > scroller.clientWidth && scroller.tabIndex < 0) fault("cannot be moved by keyboard", scroller);
return faults;
