/* Sorting, filtering, enlarging, folding. The page is whole without it; nothing is fetched, sent or kept. */
(() => {
  "use strict";

  const LONG = 12; // rows above which a table is worth a filter
  const TALL = 30; // rows above which a table scrolls by itself, so that its head stays in sight
  const words = new Intl.Collator(document.documentElement.lang, { numeric: true, sensitivity: "base" });
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  function make(tag, given = {}, ...inside) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  }

  const button = (text, act, given = {}) => {
    const made = make("button", { type: "button", ...given }, text);
    made.addEventListener("click", act);
    return made;
  };

  /* Cells as values: {text, number}, number NaN where there is none; null for a cell with nothing in it. */

  /* Minus signs and groups of digits as people type them. */
  const typed = (text) => text.replaceAll("−", "-").replace(/(\d)[\u202f\u2009\u00a0,](?=\d{3}(?!\d))/g, "$1");

  const NUMBER = /^([<>≤≥]?)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(?![\w.])/i;

  function numberIn(text) {
    const found = NUMBER.exec(typed(text));
    if (!found) return NaN;
    // A value that is only known to be smaller (or larger) stands just before (or after) its bound.
    const aside = { "<": -1, ">": 1 }[found[1]] ?? 0;
    return Number(found[2]) + aside * Math.abs(Number(found[2])) * 1e-9;
  }

  function valueOf(cell) {
    if (!cell) return null;
    const text = (cell.dataset.sort ?? (cell.querySelector(".mean, .none") ?? cell).textContent).trim();
    if (["", "—", "nan"].includes(text.toLowerCase())) return null;
    return { text, number: cell.matches("th, .text") ? NaN : numberIn(text) };
  }

  /* A table is a list of units: the rows of a sheet, or the blocks of a table of scores, one per model. */

  class Units {
    constructor(table) {
      this.table = table;
      this.blocks = table.classList.contains("scores");
      this.list = this.blocks ? [...table.tBodies] : all(":scope > tbody > tr", table);
      this.noun = this.blocks ? "models" : "rows";
      this.sorted = { head: null, column: 0, way: "none" };
    }

    /* The kind of row that blocks are sorted by: our values, or what else is shown where those are left out. */
    get deciding() {
      return ["value", "delta", "published"].find((kind) => this.table.querySelector(`tr.${kind}:not([hidden])`));
    }

    row(unit) {
      return this.blocks ? unit.querySelector(`tr.${this.deciding}:not([hidden])`) : unit;
    }

    /* Differences are signed so that more is better, in every metric. */
    first(head) {
      const best = head.dataset.first;
      return best && this.blocks && this.deciding === "delta" ? "descending" : best ?? "ascending";
    }

    /* A block is found by its names: its numbers would make every search hit. */
    text(unit) {
      const parts = this.blocks ? all("th, .text", unit) : [...unit.cells];
      return typed(parts.map((part) => part.textContent).join(" ")).toLowerCase();
    }

    sort(head, column, way) {
      this.sorted.head?.removeAttribute("aria-sort");
      this.sorted = { head, column, way };
      this.table.classList.toggle("sorted", way !== "none");
      if (way !== "none") head.setAttribute("aria-sort", way);
      this.order();
    }

    order() {
      const { column, way } = this.sorted;
      const keyed = this.list.map((unit) => ({ unit, key: valueOf(this.row(unit)?.cells[column]) }));
      const numeric = keyed.every(({ key }) => !key || !Number.isNaN(key.number));
      const sign = way === "descending" ? -1 : 1;
      const compare = ({ key: a }, { key: b }) => {
        if (!a || !b) return !a - !b; // nothing comes last, whichever way
        return sign * (numeric ? a.number - b.number : words.compare(a.text, b.text));
      };
      if (way !== "none") keyed.sort(compare);
      this.list[0].parentNode.append(...keyed.map(({ unit }) => unit));
    }
  }

  /* The column below each header cell; header cells span rows and columns. */
  function columnsOf(table) {
    const taken = [];
    const found = new Map();
    [...table.tHead.rows].forEach((row, y) => {
      let x = 0;
      for (const head of row.cells) {
        while (taken[y]?.[x]) x += 1;
        for (let down = 0; down < head.rowSpan; down += 1) {
          for (let right = 0; right < head.colSpan; right += 1) (taken[y + down] ??= [])[x + right] = true;
        }
        if (head.scope === "col") found.set(head, x);
        x += head.colSpan;
      }
    });
    return found;
  }

  function sortable(units) {
    for (const [head, column] of columnsOf(units.table)) {
      if (!head.textContent.trim()) continue;
      const inside = [...head.childNodes];
      const press = button("", () => {
        const first = units.first(head);
        const second = first === "ascending" ? "descending" : "ascending";
        const next = { none: first, [first]: second, [second]: "none" };
        units.sort(head, column, next[head.getAttribute("aria-sort") ?? "none"]);
      });
      press.append(...inside);
      head.append(press);
    }
  }

  /* Where a word begins: "aligned" is not found in "unaligned", nor 39 in 2.39; a sign is found anywhere. */
  const BEFORE = [[/^\p{N}/u, "(?<![\\p{L}\\p{N}]|\\p{N}[.,])"], [/^\p{L}/u, "(?<![\\p{L}\\p{N}])"], [/^/, ""]];

  function asking(word) {
    const before = BEFORE.find(([begins]) => begins.test(word))[1];
    return new RegExp(before + word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "u");
  }

  function filterable(units, tools) {
    const texts = new Map(units.list.map((unit) => [unit, units.text(unit)]));
    const field = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
    const said = make("output");
    if (units.table.caption?.id) field.setAttribute("aria-describedby", units.table.caption.id);
    const apply = () => {
      const asked = typed(field.value).toLowerCase().split(/\s+/).filter(Boolean).map(asking);
      for (const unit of units.list) unit.hidden = !asked.every((word) => word.test(texts.get(unit)));
      const shown = units.list.filter((unit) => !unit.hidden).length;
      said.textContent = asked.length ? `${shown} of ${units.list.length} ${units.noun} shown` : "";
    };
    field.addEventListener("input", apply);
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !field.value) return;
      event.preventDefault();
      field.value = "";
      apply();
    });
    tools.append(make("label", {}, `Filter ${units.noun} `, field), said);
  }

  /* Kinds of rows (variants, differences, published) to show or leave out. */
  function switchable(units, tools) {
    const rows = ["value", "delta", "published"].flatMap((kind) => all(`tr.${kind}`, units.table));
    const kinds = [...new Set(rows.map((row) => row.dataset.rows))];
    if (kinds.length < 2) return;
    const off = new Set();
    const printed = make("output", { class: "printed" });
    const boxes = kinds.map((kind) => {
      const box = make("input", { type: "checkbox", checked: "", autocomplete: "off" });
      box.addEventListener("change", () => {
        if (box.checked) off.delete(kind);
        else off.add(kind);
        for (const row of rows) row.hidden = off.has(row.dataset.rows);
        printed.textContent = off.size ? `Rows left out: ${kinds.filter((one) => off.has(one)).join(", ")}` : "";
        units.order();
      });
      return make("label", {}, box, ` ${kind}`);
    });
    tools.append(make("fieldset", {}, make("legend", {}, "Rows"), ...boxes), printed);
  }

  function equip(table) {
    const units = new Units(table);
    if (!table.tHead || !units.list.length) return;
    const tools = make("div", { class: "tools" });
    if (units.list.length > 1) sortable(units);
    if (table.rows.length > LONG) filterable(units, tools);
    if (units.blocks) switchable(units, tools);
    const frame = table.closest(".scroll") ?? table;
    if (tools.hasChildNodes()) frame.before(tools);
    frame.classList.toggle("tall", table.rows.length > TALL);
  }

  /* Figures: one dialog for all. The picture itself moves there and back, since a copy would repeat its ids. */

  function enlargeable(figures) {
    const title = make("strong", { id: "large-title" });
    const stage = make("div", { class: "stage", role: "region", "aria-label": "Enlarged figure", tabindex: "0" });
    const held = make("div"); // keeps the place of the picture that is enlarged
    let svg, opener, zoom;
    const draw = (wanted) => {
      zoom = Math.min(Math.max(wanted, 1), 12);
      const { width, height } = svg.viewBox.baseVal;
      const [x, y] = ["Left", "Top"].map((side, i) => {
        const span = [stage.clientWidth, stage.clientHeight][i];
        return (stage[`scroll${side}`] + span / 2) / [stage.scrollWidth, stage.scrollHeight][i];
      });
      svg.style.width = `${zoom * Math.min(stage.clientWidth, (stage.clientHeight * width) / height)}px`;
      stage.scrollTo(x * stage.scrollWidth - stage.clientWidth / 2, y * stage.scrollHeight - stage.clientHeight / 2);
    };
    const bar = make("div", { class: "bar" }, title);
    const dialog = make("dialog", { class: "large", "aria-labelledby": "large-title" }, bar, stage);
    const larger = () => draw(zoom * 1.4);
    const smaller = () => draw(zoom / 1.4);
    bar.append(button("−", smaller, { "aria-label": "Smaller" }), button("+", larger, { "aria-label": "Larger" }));
    bar.append(button("Fit", () => draw(1)), button("Close", () => dialog.close()));
    const keys = { "+": larger, "-": smaller, 0: () => draw(1) };
    dialog.addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey }) => {
      if (!ctrlKey && !metaKey && !altKey) keys[key]?.(); // with those, the browser's own zoom
    });
    dialog.addEventListener("close", () => {
      svg.style.width = "";
      held.replaceWith(svg);
      opener.focus();
    });
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      draw(zoom * Math.exp(-event.deltaY / 300));
    }, { passive: false });
    addEventListener("resize", () => dialog.open && draw(zoom));
    for (const figure of figures) {
      const open = () => {
        [svg, opener] = [picture, press];
        title.textContent = picture.querySelector("title")?.textContent ?? "Figure";
        held.style.height = `${picture.getBoundingClientRect().height}px`;
        svg.replaceWith(held);
        stage.append(svg);
        dialog.showModal();
        draw(1);
        stage.focus();
      };
      const picture = figure.querySelector("svg");
      const press = button("Enlarge", open, { class: "enlarge" });
      picture.addEventListener("click", () => dialog.open || open());
      (picture.closest(".scroll") ?? picture).after(press);
    }
    document.body.append(dialog);
  }

  /* Folds. */

  function foldable(folds) {
    const press = button("", () => {
      const open = folds.some((fold) => !fold.open);
      for (const fold of folds) fold.open = open;
    });
    const name = () => { press.textContent = folds.every((fold) => fold.open) ? "Close all folds" : "Open all folds"; };
    for (const fold of folds) fold.addEventListener("toggle", name);
    name();
    document.querySelector("nav ul")?.append(make("li", {}, press));
  }

  /* A link into a closed fold opens it, and the folds around it. */
  function reveal() {
    const target = document.querySelector(":target");
    if (!target) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView();
  }

  for (const table of all("table.sheet, table.scores")) equip(table);
  const figures = all("main figure").filter((figure) => figure.querySelector("svg"));
  if (figures.length) enlargeable(figures);
  const folds = all("main details");
  if (folds.length > 1) foldable(folds);
  addEventListener("hashchange", reveal);
  reveal();
})();
