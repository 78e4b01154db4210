// Problems that one recipe solves and another does not, their answers side by side.

if (data.rows.length) {
  const form = byId("filters").elements;
  const recipes = data.recipes.map((name, place) => [place, plain(name)]);
  fill(form.first, recipes);
  fill(form.second, recipes);
  form.first.value = data.pair[0];
  form.second.value = data.pair[1];
  fill(form.seed, [...new Set(data.rows.map((row) => row.seed))].sort((a, b) => a - b).map((seed) => [seed, String(seed)]));
  fill(form.benchmark, [...new Set(data.rows.map((row) => row.benchmark))].map((name) => [name, plain(name)]));

  const answer = (row, recipe) => row.texts[row.said[recipe]];
  const chosen = () => [Number(form.first.value), Number(form.second.value)];

  function tally(first, second) {
    let one = 0, other = 0;
    for (const [key, table] of Object.entries(data.counts)) {
      const [seed, ...name] = key.split("/");
      if (form.seed.value && seed !== form.seed.value) continue;
      if (form.benchmark.value && name.join("/") !== form.benchmark.value) continue;
      one += table[first][second];
      other += table[second][first];
    }
    byId("tally").textContent = plain(first === second ? "Choose two different recipes." : "Of all problems, "
      + data.recipes[first] + " alone solves " + one.toLocaleString("en") + ", and " + data.recipes[second] + " alone " + other.toLocaleString("en") + ".");
  }

  function keep() {
    const [first, second] = chosen(), needle = form.search.value.trim().toLowerCase();
    tally(first, second);
    return (row) => row.right[first] && !row.right[second] && (!form.seed.value || row.seed === Number(form.seed.value))
      && (!form.benchmark.value || row.benchmark === form.benchmark.value)
      && (!needle || [row.question, row.reference, answer(row, first), answer(row, second)].join("\n").toLowerCase().includes(needle));
  }

  function side(row, recipe) {
    return make("div", {}, heading(data.recipes[recipe]), make("p", { class: "text" }, answer(row, recipe)),
      make("p", { class: "verdicts" }, verdict(row.right[recipe], row.extracted[recipe], "")));
  }

  function detail(row) {
    const [first, second] = chosen();
    const others = row.right.filter(Boolean).length;
    return [...problem(row), make("div", { class: "two" }, side(row, first), side(row, second)),
      heading("Lineage"), make("p", { class: "text" }, row.benchmark + "/" + row.problem + ", seed " + row.seed + "; " + others + " of " + row.right.length + " recipes solve it")];
  }

  const line = (row) => [make("span", { class: "what" }, row.question.slice(0, 120)), make("span", { class: "how" }, row.benchmark + " · seed " + row.seed)];
  const refresh = browser(data.rows, { line, detail, keep, noun: "problems on this page" });
  byId("swap").addEventListener("click", () => { [form.first.value, form.second.value] = [form.second.value, form.first.value]; refresh(); });
}
