// Search over file names, the source of both trees, and reasons.

const SHOWN = 120;

class Search {
  constructor(view) {
    this.view = view;
    this.input = document.getElementById("search");
    this.panel = document.getElementById("found-panel");
    this.list = document.getElementById("found");
    this.count = document.getElementById("found-count");
    this.chosen = -1;
    let timer = 0;
    this.input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.find(), 80);
    });
    this.input.addEventListener("focus", () => this.input.value.trim() && this.open(true));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("click", (event) => this.take(event.target.closest(".hit")));
    document.addEventListener("click", (event) => event.target.closest(".search") || this.open(false));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, select, textarea")) return;
      event.preventDefault();
      this.input.focus();
      this.input.select();
    });
  }

  open(isOpen) {
    this.panel.hidden = !isOpen;
    this.input.setAttribute("aria-expanded", String(isOpen));
  }

  find() {
    const wanted = this.input.value.trim().toLowerCase();
    this.list.replaceChildren();
    this.chosen = -1;
    this.input.removeAttribute("aria-activedescendant");
    this.open(wanted !== "");
    if (!wanted) return;
    let total = 0;
    for (const hit of this.hits(wanted)) {
      total += 1;
      if (total <= SHOWN) this.list.append(this.shown(hit, wanted, total));
    }
    const first = total > SHOWN ? `; the first ${SHOWN} are shown` : "";
    this.count.textContent = total === 0 ? "Nothing found" : `${total.toLocaleString("en")} found${first}`;
    if (total) this.move(1);
  }

  *hits(wanted) {
    for (const tree of Object.values(this.view.trees)) {
      for (const file of tree.names) {
        if (file.toLowerCase().includes(wanted)) yield { href: anchor(tree.side, file, 1), where: `${tree.side} file`, text: file };
      }
    }
    for (const tree of Object.values(this.view.trees)) {
      for (const file of tree.names) {
        if (!(tree.files[file].lower ??= tree.files[file].text.toLowerCase()).includes(wanted)) continue;
        const lines = tree.lines(file);
        for (let index = 0; index < lines.length; index += 1) {
          if (!lines[index].toLowerCase().includes(wanted)) continue;
          const where = `${tree.side} ${file}:${index + 1}, ${tree.kind(file, index + 1)}`;
          yield { href: anchor(tree.side, file, index + 1), where, text: lines[index].trim() };
        }
      }
    }
    for (const [file, line, pass, evidence, reason] of DATA.removals) {
      const text = `${pass}: ${reason}`;
      if (!text.toLowerCase().includes(wanted)) continue;
      yield { href: anchor("legacy", DATA.names[file], line), where: `reason at ${DATA.names[file]}:${line}, ${evidence}`, text };
    }
  }

  shown(hit, wanted, number) {
    const at = hit.text.toLowerCase().indexOf(wanted);
    const start = Math.max(0, at - 60);
    const text = make("span", { class: "code" }, (start ? "…" : "") + hit.text.slice(start, at));
    text.append(make("mark", {}, hit.text.slice(at, at + wanted.length)), hit.text.slice(at + wanted.length, at + 200));
    const row = make("div", { class: "hit", role: "option", id: `hit-${number}`, "aria-selected": "false" }, text, make("span", { class: "where" }, hit.where));
    row.dataset.href = hit.href;
    return row;
  }

  move(step) {
    const rows = this.list.children;
    if (!rows.length) return;
    rows[this.chosen]?.setAttribute("aria-selected", "false");
    this.chosen = (this.chosen + step + rows.length) % rows.length;
    rows[this.chosen].setAttribute("aria-selected", "true");
    rows[this.chosen].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", rows[this.chosen].id);
  }

  key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.take(this.list.children[this.chosen]);
    } else if (event.key === "Escape") {
      this.open(false);
      this.input.blur();
    }
  }

  take(row) {
    if (!row) return;
    this.open(false);
    this.input.blur();
    if (location.hash === row.dataset.href) route();
    else location.hash = row.dataset.href;
  }
}
