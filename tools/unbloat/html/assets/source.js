// The source view: two panes that follow each other, and the evidence for the chosen line.

const CHUNK = 100;
const ROW = 20;
const SIGNS = { kept: " ", verbatim: " ", moved: "→", changed: "~", rewritten: "~", folded: "^", removed: "−", generated: "+" };
const MEANING = {
  kept: "Word for word in the stripped tree.",
  moved: "Word for word in the stripped tree, in another file.",
  changed: "A part of it is left.",
  folded: "The head of a block: the decision is taken, and what the block held stays.",
  removed: "Not in the stripped tree any more.",
  verbatim: "The legacy's, word for word.",
  rewritten: "Made from legacy code.",
  generated: "Written by unbloat.",
};
const RUN_CLASSES = "ktcmdb";

/** A tree of one side: what is known about each line, with lines counted from 1. */
class Tree {
  constructor(side, files) {
    this.side = side;
    this.files = files;
    this.names = Object.keys(files);
  }

  has(file, line = 1) {
    return Object.hasOwn(this.files, file) && (line === 1 || line <= this.lines(file).length);
  }

  lines(file) {
    const found = this.files[file];
    found.split ??= found.text === "" ? [] : found.text.replace(/\n$/, "").split("\n");
    return found.split;
  }

  kind(file, line) {
    return DATA.kinds[this.side][Number(this.files[file].kinds[line - 1])];
  }

  /** Where a line has gone to or come from, as [file, line]; a bare number is a line of the file of the same name. */
  links(file, line) {
    const found = this.files[file].links[line - 1];
    if (found === 0) return [];
    if (typeof found === "number") return [[file, found]];
    return found.map(([number, at]) => [DATA.names[number], at]);
  }

  causes(file, line) {
    return DATA.groups[this.files[file].causes[line - 1]].map((number) => DATA.removals[number]);
  }

  why(file, line) {
    return DATA.whys[this.files[file].whys[line - 1]];
  }
}

/** One pane: a list of lines of one file, of which one is chosen. */
class Pane {
  constructor(host, tree, title, onChoose, onCross) {
    this.host = host;
    this.tree = tree;
    this.onChoose = onChoose;
    this.onCross = onCross;
    this.file = null;
    this.line = 0;
    this.select = make("select", { "aria-label": `${title} file` });
    for (const name of tree.names) this.select.append(make("option", { value: name }, name));
    this.select.addEventListener("change", () => this.onChoose(this.select.value, 1, true));
    this.count = make("span", { class: "count" });
    this.list = make("div", { class: "lines", role: "listbox", tabindex: "0", "aria-label": `${title} source` });
    this.map = make("canvas", { class: "map", "aria-hidden": "true" });
    host.append(make("header", {}, make("h3", {}, title), this.select, this.count), make("div", { class: "body" }, this.list, this.map));
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest(".l");
      if (row) this.onChoose(this.file, Number(row.dataset.line), true);
    });
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.map.addEventListener("click", (event) => {
      const share = event.offsetY / this.map.clientHeight;
      this.list.scrollTop = share * this.list.scrollHeight - this.list.clientHeight / 2;
    });
  }

  open(file) {
    if (this.file === file) return;
    this.file = file;
    this.line = 0;
    this.list.replaceChildren();
    this.list.removeAttribute("aria-activedescendant");
    this.list.scrollTop = 0;
    if (file === null) {
      this.select.selectedIndex = -1;
      this.count.textContent = "";
      this.list.append(make("p", { class: "empty" }, "Nothing of this file is left."));
      this.drawMap();
      return;
    }
    this.select.value = file;
    const lines = this.tree.lines(file);
    this.count.textContent = `${lines.length.toLocaleString("en")} lines`;
    for (let first = 1; first <= lines.length; first += CHUNK) {
      const last = Math.min(first + CHUNK - 1, lines.length);
      const chunk = make("div", { class: "chunk", role: "presentation" });
      chunk.style.containIntrinsicSize = `auto ${(last - first + 1) * ROW}px`;
      for (let number = first; number <= last; number += 1) chunk.append(this.row(number, lines[number - 1]));
      this.list.append(chunk);
    }
    if (lines.length === 0) this.list.append(make("p", { class: "empty" }, "This file is empty."));
    this.drawMap();
  }

  row(number, text) {
    const kind = this.tree.kind(this.file, number);
    const row = make("div", { class: `l ${kind}`, role: "option", "aria-selected": "false", id: `${this.tree.side}-${number}` });
    row.dataset.line = number;
    row.append(
      make("span", { class: "n" }, String(number)),
      make("span", { class: "s", title: kind }, SIGNS[kind]),
      make("span", { class: "unseen" }, `${kind} `),
      coloured(text, this.tree.files[this.file].runs[number - 1]),
    );
    return row;
  }

  /** The element of a line. */
  at(line) {
    return this.list.querySelector(`#${this.tree.side}-${line}`);
  }

  choose(line) {
    this.at(this.line)?.setAttribute("aria-selected", "false");
    this.line = line;
    const row = this.at(line);
    if (!row) return;
    row.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", row.id);
    this.reveal(line);
  }

  unchoose() {
    this.at(this.line)?.setAttribute("aria-selected", "false");
    this.list.removeAttribute("aria-activedescendant");
  }

  /** Mark the counterparts of the other pane's line. */
  mark(lines) {
    for (const row of this.list.querySelectorAll(".other")) row.classList.remove("other");
    for (const line of lines) this.at(line)?.classList.add("other");
  }

  /** Scroll so that a line is well in sight, if it is not. */
  reveal(line) {
    const row = this.at(line);
    if (!row) return;
    const top = row.getBoundingClientRect().top - this.list.getBoundingClientRect().top;
    if (top < ROW || top > this.list.clientHeight - 3 * ROW) row.scrollIntoView({ block: "center", inline: "nearest" });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.file === null) return;
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW) - 2);
    const count = this.tree.lines(this.file).length;
    const here = this.line || 1;
    const found = {
      ArrowDown: () => this.visible(here + 1, 1),
      ArrowUp: () => this.visible(here - 1, -1),
      PageDown: () => this.visible(Math.min(here + page, count), -1),
      PageUp: () => this.visible(Math.max(here - page, 1), 1),
      Home: () => this.visible(1, 1),
      End: () => this.visible(count, -1),
      n: () => this.turn(here, 1),
      p: () => this.turn(here, -1),
    }[event.key];
    if (found) {
      event.preventDefault();
      const line = found();
      if (line) this.onChoose(this.file, line, false);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onChoose(this.file, here, false);
      document.getElementById("evidence").focus();
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      this.onCross(event.key === "ArrowLeft" ? "legacy" : "stripped");
    }
  }

  /** The next line from `line` on that no filter hides. */
  visible(line, step) {
    const count = this.tree.lines(this.file).length;
    for (let at = line; at >= 1 && at <= count; at += step) if (!HIDDEN.has(plain(this.tree.kind(this.file, at)))) return at;
    return 0;
  }

  /** Where the next stretch begins of lines with another fate. */
  turn(line, step) {
    const count = this.tree.lines(this.file).length;
    const kind = this.tree.kind(this.file, line);
    for (let at = line + step; at >= 1 && at <= count; at += step) {
      if (this.tree.kind(this.file, at) !== kind) return this.visible(at, step);
    }
    return 0;
  }

  /** The whole file as a narrow strip of colours. */
  drawMap() {
    const height = this.list.clientHeight;
    const scale = window.devicePixelRatio || 1;
    this.map.style.height = `${height}px`;
    this.map.width = 10 * scale;
    this.map.height = height * scale;
    if (this.file === null || height === 0) return;
    const style = getComputedStyle(document.documentElement);
    const colours = {};
    for (const kind of DATA.kinds[this.tree.side]) {
      const name = { rewritten: "changed", verbatim: "kept" }[kind] ?? kind;
      colours[kind] = name === "kept" ? null : style.getPropertyValue(name === "generated" ? "--generated" : `--${name}-bar`);
    }
    const pen = this.map.getContext("2d");
    const count = this.tree.lines(this.file).length;
    const step = this.map.height / Math.max(count, height / ROW);
    for (let line = 1; line <= count; line += 1) {
      const colour = colours[this.tree.kind(this.file, line)];
      if (colour === null) continue;
      pen.fillStyle = colour;
      pen.fillRect(0, (line - 1) * step, this.map.width, Math.max(step, 1));
    }
  }
}

const HIDDEN = new Set();

/** The name under which a kind of line is filtered. */
function plain(kind) {
  return { rewritten: "changed", verbatim: "kept" }[kind] ?? kind;
}

/** A line of code; `runs` are start, length and class of what is highlighted. */
function coloured(text, runs) {
  const code = make("code");
  let at = 0;
  for (let index = 0; index < (runs || []).length; index += 3) {
    const [start, length, kind] = runs.slice(index, index + 3);
    if (start > at) code.append(text.slice(at, start));
    code.append(make("span", { class: RUN_CLASSES[kind] }, text.slice(start, start + length)));
    at = start + length;
  }
  code.append(text.slice(at));
  return code;
}

class SourceView {
  constructor() {
    this.trees = { legacy: new Tree("legacy", DATA.legacy), stripped: new Tree("stripped", DATA.stripped) };
    this.panes = {};
    for (const [side, title] of [["legacy", "Legacy"], ["stripped", "Stripped"]]) {
      const go = (file, line, focus) => this.go(side, file, line, focus);
      this.panes[side] = new Pane(document.getElementById(`${side}-pane`), this.trees[side], title, go, (to) => this.cross(to));
    }
    this.evidence = document.getElementById("evidence");
    this.evidence.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.panes[this.side].list.focus();
    });
    this.side = "legacy";
    new ResizeObserver(() => this.fit()).observe(this.panes.legacy.list);
    this.makeFilters();
  }

  /** Choose a line, and let the address say so. */
  go(side, file, line, focus) {
    history.replaceState(null, "", anchor(side, file, line));
    this.show(side, file, line);
    if (focus) this.panes[side].list.focus({ preventScroll: true });
  }

  show(side, file, line) {
    const other = side === "legacy" ? "stripped" : "legacy";
    const [pane, across] = [this.panes[side], this.panes[other]];
    this.side = side;
    pane.open(file);
    pane.mark([]);
    across.unchoose();
    const links = this.trees[side].lines(file).length ? this.trees[side].links(file, line) : [];
    const beside = links.find(([name]) => name === file)?.[0] ?? links[0]?.[0] ?? this.beside(side, file, across.file);
    across.open(beside);
    pane.choose(line);
    const there = links.filter(([name]) => name === beside).map(([, number]) => number);
    across.mark(there);
    if (there.length) across.reveal(there[0]);
    else if (beside !== null) across.reveal(this.near(side, file, line, beside));
    this.tell(side, file, line, links);
    this.countKinds();
    document.title = `${file}:${line} · ${DATA.title}`;
  }

  /** The file to show beside one of whose line nothing is left. */
  beside(side, file, shown) {
    const other = this.trees[side === "legacy" ? "stripped" : "legacy"];
    if (other.has(file)) return file;
    const counts = new Map();
    this.trees[side].lines(file).forEach((_, index) => {
      for (const [name] of this.trees[side].links(file, index + 1)) counts.set(name, (counts.get(name) ?? 0) + 1);
    });
    if (counts.has(shown)) return shown;
    return [...counts].sort((one, two) => two[1] - one[1])[0]?.[0] ?? null;
  }

  /** The counterpart of the nearest line that has one. */
  near(side, file, line, beside) {
    const count = this.trees[side].lines(file).length;
    for (let away = 1; away < count; away += 1) {
      for (const at of [line - away, line + away]) {
        if (at < 1 || at > count) continue;
        const found = this.trees[side].links(file, at).find(([name]) => name === beside);
        if (found) return found[1];
      }
    }
    return 1;
  }

  /** Go over to the other pane, to the counterpart of the chosen line. */
  cross(to) {
    if (to === this.side) return;
    const pane = this.panes[this.side];
    if (this.panes[to].file === null) return;
    const links = this.trees[this.side].links(pane.file, pane.line || 1);
    const [file, line] = links[0] ?? [this.panes[to].file, this.near(this.side, pane.file, pane.line || 1, this.panes[to].file)];
    this.go(to, file, line, true);
  }

  makeFilters() {
    const form = document.getElementById("filters");
    const group = make("fieldset", {}, make("legend", {}, "Show"));
    this.counts = {};
    for (const kind of ["kept", "moved", "changed", "folded", "removed", "generated"]) {
      const box = make("input", { type: "checkbox", checked: "", name: kind });
      box.addEventListener("change", () => {
        HIDDEN[box.checked ? "delete" : "add"](kind);
        document.getElementById("source").classList.toggle(`hide-${kind}`, !box.checked);
        for (const pane of Object.values(this.panes)) if (pane.line) pane.reveal(pane.line);
      });
      this.counts[kind] = make("span", { class: "more" });
      const sign = make("span", { class: `sign ${kind}`, "aria-hidden": "true" }, SIGNS[kind].trim() || "·");
      group.append(make("label", { title: MEANING[kind] }, box, " ", sign, ` ${kind} `, this.counts[kind]));
    }
    const keys = make("dl", {});
    for (const [key, does] of [
      ["/", "search"], ["↑ ↓", "previous, next line"], ["← →", "to the line in the other tree"], ["n p", "next, previous change of fate"],
      ["Enter", "read the evidence"], ["Esc", "back to the line"],
    ]) keys.append(make("dt", {}, ...key.split(" ").flatMap((one) => [make("kbd", {}, one), " "])), make("dd", {}, does));
    form.append(group, make("details", {}, make("summary", {}, "Keyboard"), keys));
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  countKinds() {
    const found = {};
    for (const pane of Object.values(this.panes)) {
      if (pane.file === null || (pane.tree.side === "stripped" && this.panes.legacy.file !== null)) continue;
      for (const kind of this.trees[pane.tree.side].files[pane.file].kinds) {
        const name = plain(DATA.kinds[pane.tree.side][Number(kind)]);
        found[name] = (found[name] ?? 0) + 1;
      }
    }
    if (this.panes.stripped.file !== null) {
      const generated = DATA.kinds.stripped.indexOf("generated");
      found.generated = [...this.trees.stripped.files[this.panes.stripped.file].kinds].filter((one) => Number(one) === generated).length;
    }
    for (const [kind, where] of Object.entries(this.counts)) where.textContent = (found[kind] ?? 0).toLocaleString("en");
  }

  /** Fill the evidence panel. */
  tell(side, file, line, links) {
    const tree = this.trees[side];
    const text = tree.lines(file)[line - 1];
    this.evidence.replaceChildren();
    if (text === undefined) {
      this.evidence.append(make("h3", {}, file), make("p", { class: "note" }, "This file is empty."));
      return;
    }
    const kind = tree.kind(file, line);
    const own = make("a", { href: anchor(side, file, line) }, ...breakable(`${file}:${line}`));
    this.evidence.append(
      make("h3", {}, own),
      make("p", {}, make("span", { class: `fate ${kind}` }, kind), " ", make("span", { class: "more" }, tree.why(file, line) || MEANING[kind])),
      make("pre", {}, coloured(text.trimStart() || "(blank line)", null)),
    );
    if (side === "legacy") this.tellFate(file, line);
    this.tellLinks(side, links, kind);
    const causes = tree.causes(file, line);
    if (causes.length) this.tellCauses(causes);
    if (side === "legacy") this.tellRuns(file, line);
  }

  tellFate(file, line) {
    const decider = DATA.legacy[file].deciders[line];
    if (decider === undefined) return;
    const link = make("a", { href: anchor("legacy", file, decider) }, `line ${decider}`);
    this.evidence.append(make("p", {}, "Shares its fate with ", link, "."));
  }

  tellLinks(side, links, kind) {
    if (!links.length) return;
    const other = side === "legacy" ? "stripped" : "legacy";
    const title = side === "legacy" ? "Is now" : kind === "generated" ? "Stands for" : "Comes from";
    const list = make("ul", { class: "code" });
    for (const [file, line] of links.slice(0, 12)) {
      const text = this.trees[other].lines(file)[line - 1] ?? "";
      list.append(make("li", {}, make("a", { href: anchor(other, file, line) }, `${file}:${line}`), make("br"), text.trim()));
    }
    if (links.length > 12) list.append(make("li", { class: "more" }, `and ${links.length - 12} more lines`));
    this.evidence.append(make("h4", {}, title), list);
  }

  tellCauses(causes) {
    const list = make("ol", {});
    for (const cause of causes.slice(0, 40)) {
      const [file, line, pass, evidence, reason, phase, pins] = cause;
      const name = DATA.names[file];
      const where = make("a", { href: anchor("legacy", name, line) }, `${name.split("/").pop()}:${line}`);
      const item = make("li", { class: "cause" }, make("strong", {}, pass), " at ", where, make("br"), ...quoted(reason));
      item.append(make("div", { class: "kind" }, `evidence: ${evidence} · phase ${phase}`));
      for (const pin of pins) item.append(make("div", { class: "pins" }, DATA.pins[pin]));
      list.append(item);
    }
    if (causes.length > 40) list.append(make("li", { class: "more" }, `and ${causes.length - 40} more`));
    this.evidence.append(make("h4", {}, causes.length > 1 ? `Evidence (${causes.length} edits)` : "Evidence"), list);
  }

  tellRuns(file, line) {
    const ran = DATA.runs[DATA.legacy[file].ran[line - 1]];
    const list = make("ul", {}, make("li", {}, `Executed by: ${ran.length ? ran.join(", ") : "no workload"}.`));
    for (const [at, text, reason] of DATA.legacy[file].decisions) {
      if (at === line) list.append(make("li", {}, "Decision ", make("code", {}, text), ` stays: ${reason}.`));
    }
    for (const [first, last, pass, reason] of DATA.legacy[file].tried) {
      if (first <= line && line <= last) list.append(make("li", {}, `Tried by “${pass}” and kept: `, ...quoted(reason)));
    }
    this.evidence.append(make("h4", {}, "In the runs"), list);
  }

  /** After the window has another size. */
  fit() {
    this.drawMaps();
    for (const pane of Object.values(this.panes)) {
      const mark = pane.list.querySelector(".other");
      if (mark || pane.line) pane.reveal(mark ? Number(mark.dataset.line) : pane.line);
    }
  }

  drawMaps() {
    for (const pane of Object.values(this.panes)) pane.drawMap();
  }
}
