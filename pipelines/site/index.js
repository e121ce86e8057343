"use strict";
// Sorts and filters the table of runs; the state stands in the fragment of the address, so that a link keeps it.
(() => {
  const table = document.getElementById("runs"), body = table.tBodies[0];
  const filter = document.getElementById("filter"), shown = document.getElementById("shown");
  const heads = [...table.tHead.rows[0].cells], rows = [...body.rows];
  const words = rows.map(row => row.textContent.toLowerCase());
  const value = (row, k) => row.cells[k].dataset.value ?? row.cells[k].textContent;

  function sort(k, descending) {
    const sign = descending ? -1 : 1;
    const keyed = rows.map(row => [value(row, k), row]);
    const numbers = keyed.every(([text]) => text === "" || Number.isFinite(Number(text)));
    keyed.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === "");  // what is unknown comes last, either way
      return sign * (numbers ? a - b : a < b ? -1 : a > b ? 1 : 0);
    });
    body.append(...keyed.map(([, row]) => row));
    heads.forEach(head => head.removeAttribute("aria-sort"));
    heads[k].setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  function narrow(text) {
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, k) => {
      row.hidden = !wanted.every(word => words[k].includes(word));
      count += !row.hidden;
    });
    shown.textContent = `${count} of ${rows.length} runs`;
  }

  function apply() {
    const state = new URLSearchParams(location.hash.slice(1));
    const k = heads.findIndex(head => head.dataset.key === state.get("sort"));
    if (k >= 0) sort(k, state.get("order") === "descending");
    filter.value = state.get("filter") ?? "";
    narrow(filter.value);
  }

  function keep(changes) {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const [key, text] of Object.entries(changes)) text ? state.set(key, text) : state.delete(key);
    history.replaceState(null, "", `#${state}`);
    apply();
  }

  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => keep({
      sort: head.dataset.key, order: head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending",
    }));
    head.append(button);
  }
  filter.addEventListener("input", () => keep({filter: filter.value}));
  addEventListener("hashchange", apply);
  document.querySelector(".tools").hidden = false;
  apply();
})();
