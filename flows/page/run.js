// The samples of one run: tokens shaded by reward, the rewrite as a difference, where all of it came from.

const KINDS = {
  "sample right": "right sample", "sample mended": "wrong, with an accepted rewrite", "sample wrong": "wrong, without a rewrite",
  "answer mended": "benchmark: wrong, then right", "answer broken": "benchmark: right, then wrong",
  "answer wrong": "benchmark: wrong both times", "answer right": "benchmark: right both times",
};
const kind = (row) => (row.after ? "answer " : "sample ") + row.group;
const tip = make("div", { id: "tip", role: "status", hidden: "" });

function tokens(row) {
  const edited = new Set(row.edited || []);
  const line = make("p", { class: "tokenline", role: "group", "aria-label": "Tokens with their rewards; arrow keys move through them" });
  row.tokens.forEach((text, place) => {
    const reward = row.rewards[place];
    const share = Math.abs(reward) / (reward < 0 ? -data.low : data.high || 1);
    // A line break is shown as a mark and, outside of the shaded token, broken.
    const shown = text === "" ? "∅" : text.replace(/\n/g, "↵");
    const span = make("span", { class: "t" + (reward > 0 ? " up" : reward < 0 ? " down" : ""), tabindex: place ? "-1" : "0", role: "img" }, shown);
    span.style.setProperty("--share", (100 * Math.min(1, share)).toFixed(0) + "%");
    const facts = ["“" + plain(text.replace(/\n/g, "↵")) + "”, token " + (place + 1), "reward " + signed(reward)];
    if (row.probabilities) facts.push((data.credit === "grm" ? "probability under the GRM " : "probability ") + row.probabilities[place].toFixed(3));
    if (row.edited) facts.push(edited.has(place) ? "changed by the rewrite" : "kept by the rewrite");
    span.setAttribute("aria-label", facts.join(", "));
    span.dataset.facts = facts.join("\n");
    line.append(span);
    if (text.includes("\n")) line.append("\n");
  });
  return line;
}

function place(span) {
  tip.textContent = span.dataset.facts;
  tip.hidden = false;
  const box = span.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = (box.top > tip.offsetHeight + 12 ? box.top - tip.offsetHeight - 6 : box.bottom + 6) + "px";
}

function move(event) {
  const span = event.target.closest(".t");
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") tip.hidden = true;
  if (!span || !step) return;
  const all = [...span.parentElement.querySelectorAll(".t")];
  const next = all[all.indexOf(span) + step];
  event.preventDefault();
  if (!next) return;
  span.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function scale() {
  const ramp = make("span", { class: "ramp" });
  ramp.style.setProperty("--zero", (data.low >= 0 ? 0 : data.high > 0 ? 50 : 100) + "%");
  return make("p", { class: "scale" }, data.low < 0 ? signed(data.low) : null, ramp, signed(data.high),
    make("span", {}, "reward; negative ones are underlined too. Point at a token, or go to it with Tab and arrow keys."));
}

function rewrite(title, found) {
  const facts = [percent(found.fraction) + " edited (" + found.distance + " tokens)"];
  if (found.located !== null) facts.push("first wrong step: " + found.located);
  if (found.rejected) facts.push("rejected: " + found.rejected);
  return [heading(title), diff(found.segments),
    make("p", { class: "verdicts" }, verdict(found.right, found.extracted, "rewrite"), make("span", {}, facts.join(" · ")))];
}

function lineage(row) {
  const list = make("dl", { class: "lineage" });
  const add = (name, text) => { if (text) list.append(make("dt", {}, name), make("dd", {}, text)); };
  const run = (label) => data.runs[label] && "MLflow run " + data.runs[label];
  add(row.after ? "problem" : "sample", row.id);
  if (row.after) { add("before", run("evaluate-before")); add("after", run("evaluate-after")); return list; }
  add("sampled by", run("sample"));
  if (row.teacher) add("teacher", row.teacher.by + (row.teacher.rejected ? ", rejected: " + row.teacher.rejected : ", accepted") + " · " + run("teach"));
  if (row.tokens || row.rewrites) add("GRM", run("train_reward_model") && run("train_reward_model") + (row.trained === true ? " · trained on this sample's teacher rewrite" : row.trained === false ? " · never saw this sample's teacher rewrite" : ""));
  if (row.rewrites) add("rewritten by", row.rewrites.by + " · " + (run("rewrite") || run("teach")));
  if (row.tokens) add("scored by", (data.credit === "grm" ? "" : data.credit + " · ") + (run("score") || run("pair")));
  for (const label of Object.keys(data.runs)) if (label.startsWith("train_policy-")) add(label.slice(13).replaceAll("_", " "), run(label));
  add("policy trained by", run("train_policy"));
  return list;
}

function detail(row) {
  tip.hidden = true;
  const parts = problem(row);
  if (row.after) {
    parts.push(heading("Before training → after"), diff(row.after.segments),
      make("p", { class: "verdicts" }, verdict(row.right, row.extracted, "before"), verdict(row.after.right, row.after.extracted, "after")));
  } else {
    parts.push(heading(row.tokens ? "Sample, each token shaded by its reward" : "Sample"));
    parts.push(...(row.tokens ? [tokens(row), scale()] : [make("p", { class: "text" }, row.text)]));
    parts.push(make("p", { class: "verdicts" }, verdict(row.right, row.extracted, "sample"), row.ended ? null : make("span", {}, "cut at the length limit")));
    if (row.rewrites) parts.push(...rewrite(row.rewrites.by === "grm" ? "The GRM's rewrite" : "The teacher's rewrite", row.rewrites));
    if (row.teacher) parts.push(...rewrite("The teacher's rewrite", row.teacher));
  }
  parts.push(heading("Lineage"), lineage(row));
  return parts;
}

function line(row) {
  const said = row.right ? "✓ right" : "✗ wrong";
  const how = row.after ? said + " → " + (row.after.right ? "✓ right" : "✗ wrong") : said + (row.rewrites ? (row.rewrites.rejected ? " · rewrite rejected" : " · edited " + percent(row.rewrites.fraction)) : "");
  return [make("span", { class: "what" }, row.question.slice(0, 120)), make("span", { class: "how" }, how + " · " + row.from.replace("training: ", ""))];
}

if (data.rows.length) {
  const form = byId("filters").elements;
  const names = [...new Set(data.rows.map((row) => row.from))];
  fill(form.from, names.map((name) => [name, plain(name)]));
  fill(form.group, Object.entries(KINDS).filter(([key]) => data.rows.some((row) => kind(row) === key)));
  const changed = (found) => found ? found.segments.map((part) => part[0] === "deleted" ? "" : part[part.length - 1]).join("") : "";
  for (const row of data.rows) row.haystack = [row.question, row.reference, row.text, changed(row.rewrites), changed(row.teacher), changed(row.after)].join("\n").toLowerCase();
  const keep = () => {
    const needle = form.search.value.trim().toLowerCase(), least = form.least.value, most = form.most.value;
    return (row) => (!needle || row.haystack.includes(needle)) && (!form.from.value || row.from === form.from.value)
      && (!form.verdict.value || row.right === (form.verdict.value === "right")) && (!form.group.value || kind(row) === form.group.value)
      && ((!least && !most) || (row.rewrites && 100 * row.rewrites.fraction >= Number(least || 0) && 100 * row.rewrites.fraction <= Number(most || 100)));
  };
  const article = byId("detail");
  document.body.append(tip);
  article.addEventListener("keydown", move);
  for (const name of ["mouseover", "focusin"]) article.addEventListener(name, (event) => { const span = event.target.closest(".t"); if (span) place(span); });
  for (const name of ["mouseout", "focusout"]) article.addEventListener(name, () => { tip.hidden = true; });
  // Going to a token by key may scroll the page: its number stays with it.
  addEventListener("scroll", () => { const span = document.activeElement.closest(".t"); if (span) place(span); else tip.hidden = true; }, { passive: true, capture: true });
  browser(data.rows, { line, detail, keep, noun: "shown" });
}
