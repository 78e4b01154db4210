"use strict";
// What both pages share: elements made from data as text nodes, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// Characters that would turn around or hide others are shown by their number.
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g;

function plain(text) {
  return String(text).replace(HIDDEN, (letter) => "⟨U+" + letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩");
}

// make("p", {class: "note"}, "text", other) is <p class="note">text…</p>
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  for (const child of children.flat()) {
    if (child === null || child === undefined) continue;
    element.append(child instanceof Node ? child : plain(child));
  }
  return element;
}

const percent = (share) => (100 * share).toFixed(1) + " %";
const signed = (number) => (number > 0 ? "+" : number < 0 ? "−" : "") + Math.abs(number).toFixed(3);

function verdict(isRight, extracted, label) {
  const said = extracted === null || extracted === undefined ? "no answer found" : "answer " + extracted;
  return [make("span", { class: "verdict " + (isRight ? "right" : "wrong") }, (isRight ? "✓ " : "✗ ") + label + (label && " ") + (isRight ? "right" : "wrong")), make("span", {}, said)];
}

// Deletions are struck through, insertions underlined, and both are announced: colour is never the only sign.
function diff(segments) {
  const line = make("p", { class: "diff" });
  for (const [kind, text, other] of segments) {
    if (kind === "kept") line.append(plain(text));
    if (kind === "deleted" || kind === "replaced") line.append(make("del", { title: kind }, text));
    if (kind === "inserted") line.append(make("ins", { title: kind }, text));
    if (kind === "replaced") line.append(make("ins", { title: kind }, other));
  }
  return line;
}

function heading(text) { return make("h3", {}, text); }

function problem(row) {
  const options = (row.options || []).map((option, place) => "\n" + String.fromCharCode(65 + place) + ") " + option).join("");
  return [
    heading("Problem"), make("p", { class: "text" }, row.question + options),
    heading("Reference solution, answer " + row.answer), make("p", { class: "text" }, row.reference || "–"),
  ];
}

// A list of rows and one of them opened beside it: filters say which rows, keys move through them.
function browser(rows, { line, detail, keep, noun }) {
  const list = byId("list"), form = byId("filters");
  let shown = [], at = -1;
  function open(place, scroll) {
    if (!shown.length) { byId("detail").replaceChildren(make("p", { class: "nothing" }, "Nothing fits these filters.")); list.removeAttribute("aria-activedescendant"); return; }
    at = Math.max(0, Math.min(shown.length - 1, place));
    for (const old of list.querySelectorAll("[aria-selected=true]")) old.setAttribute("aria-selected", "false");
    const item = list.children[at];
    item.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", item.id);
    if (scroll) item.scrollIntoView({ block: "nearest" });
    byId("detail").replaceChildren(...detail(shown[at]));
    byId("detail").scrollTop = 0;
  }
  function refresh() {
    shown = rows.filter(keep());
    const items = shown.map((row, place) => {
      const item = make("li", { role: "option", id: "row" + place, "aria-selected": "false" }, line(row));
      item.dataset.place = place;
      return item;
    });
    list.replaceChildren(...items);
    list.scrollTop = 0;
    byId("count").textContent = shown.length + " of " + rows.length + " " + noun;
    open(0, false);
  }
  list.addEventListener("click", (event) => { const item = event.target.closest("li"); if (item) open(Number(item.dataset.place), false); });
  list.addEventListener("keydown", (event) => {
    const page = 8, moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: shown.length - 1 };
    if (event.key in moves) { event.preventDefault(); open(moves[event.key], true); }
  });
  form.addEventListener("input", refresh);
  form.addEventListener("reset", () => setTimeout(refresh));
  form.addEventListener("submit", (event) => event.preventDefault());
  refresh();
  return refresh;
}

function fill(select, values) {
  for (const [value, text] of values) select.append(make("option", { value }, text));
}

// Over a stage of the pipeline, its own arrows stay and the others fade.
for (const stage of document.querySelectorAll(".pipeline .stage")) {
  const name = stage.dataset.stage;
  const fade = (on) => {
    for (const flow of document.querySelectorAll(".pipeline .flow")) {
      const reads = [...flow.querySelectorAll("[data-reader]")].some((end) => end.dataset.reader === name);
      flow.classList.toggle("faint", on && !reads && flow.dataset.source !== name);
    }
  };
  stage.addEventListener("mouseenter", () => fade(true));
  stage.addEventListener("mouseleave", () => fade(false));
}
