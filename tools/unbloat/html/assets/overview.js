// The overview: totals and tables.

const FATES = ["kept", "moved", "changed", "folded", "removed"];

function overview() {
  document.getElementById("home").textContent = DATA.title;
  document.title = DATA.title;
  summary();
  legend();
  filesTable();
  table("phases", DATA.phases.head, DATA.phases.rows, DATA.phases.numbers);
  table("goldens", DATA.goldens.head, DATA.goldens.rows, DATA.goldens.numbers);
  challenge();
}

function summary() {
  const badges = document.getElementById("badges");
  for (const [text, isGood] of DATA.badges) badges.append(badge(text, isGood));
  const totals = document.getElementById("totals");
  for (const [name, big, small] of DATA.totals) {
    const value = make("dd", {}, make("span", { class: "big" }, big), make("span", { class: "small" }, small));
    totals.append(make("div", {}, make("dt", {}, name), value));
  }
}

function badge(text, isGood) {
  return make("li", { class: `badge ${isGood === null ? "" : isGood ? "good" : "bad"}` }, `${isGood === null ? "" : isGood ? "✓ " : "✗ "}${text}`);
}

function legend() {
  const list = document.getElementById("files-legend");
  for (const fate of FATES) {
    list.append(make("li", { title: MEANING[fate] }, make("span", { class: "fates" }, make("span", { class: fate })), fate));
  }
}

/** By file: how many lines have which fate. */
function tally(file) {
  const found = Object.fromEntries(FATES.map((fate) => [fate, 0]));
  for (const kind of DATA.legacy[file].kinds) found[DATA.kinds.legacy[Number(kind)]] += 1;
  return found;
}

function filesTable() {
  const rows = DATA.files.map((one) => {
    const fates = tally(one.file);
    const lines = DATA.legacy[one.file].kinds.length;
    return { ...one, fates, lines, left: lines - fates.removed - fates.folded };
  });
  const most = Math.max(1, ...rows.map((row) => row.lines));
  const columns = [
    ["file", "File", (row) => row.file, false],
    ["bar", "Lines by fate", (row) => row.lines, false],
    ["lines", "Lines", (row) => row.lines, true],
    ["left", "Left", (row) => row.left, true],
    ["gone", "Gone", (row) => (row.lines ? 1 - row.left / row.lines : 0), true],
    ["statements", "Statements", (row) => row.before.statements, true],
    ["decisions", "Decisions", (row) => row.before.decisions, true],
    ["bytes", "Bytes", (row) => row.before.bytes, true],
  ];
  const host = document.getElementById("files");
  const body = make("tbody");
  const headers = columns.map(([key, name, value, isNumber]) => {
    const button = make("button", { type: "button" }, name);
    const header = make("th", { scope: "col", class: isNumber ? "number" : "" }, button);
    button.addEventListener("click", () => sort(key, header.getAttribute("aria-sort") === "descending" ? 1 : -1));
    return header;
  });
  host.append(make("caption", { class: "unseen" }, "Legacy files; a button in a column's head sorts by it"), make("thead", {}, make("tr", {}, ...headers)), body);

  function sort(key, direction) {
    const index = columns.findIndex(([name]) => name === key);
    const value = columns[index][2];
    rows.sort((one, two) => direction * (value(one) < value(two) ? -1 : value(one) > value(two) ? 1 : 0) || one.file.localeCompare(two.file));
    headers.forEach((header, number) => {
      if (number === index) header.setAttribute("aria-sort", direction < 0 ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    });
    body.replaceChildren(...rows.map(fileRow));
  }

  function fileRow(row) {
    const said = FATES.filter((fate) => row.fates[fate]).map((fate) => `${row.fates[fate]} ${fate}`).join(", ") || "empty";
    const bar = make("div", { class: "fates", role: "img", "aria-label": said, title: said });
    bar.style.width = `${Math.max(4, (100 * row.lines) / most)}%`;
    for (const fate of FATES) {
      if (!row.fates[fate]) continue;
      const part = make("span", { class: fate });
      part.style.flex = `${row.fates[fate]} 0 0`;
      bar.append(part);
    }
    const share = row.lines ? `${Math.round((100 * (row.lines - row.left)) / row.lines)} %` : "–";
    const number = (...parts) => make("td", { class: "number" }, ...parts);
    const change = (name) => number(`${row.before[name].toLocaleString("en")} → ${row.after[name].toLocaleString("en")}`);
    return make(
      "tr", {},
      make("th", { scope: "row", class: "code" }, make("a", { href: anchor("legacy", row.file) }, row.file)),
      make("td", { style: "width: 34%" }, bar),
      number(row.lines.toLocaleString("en")), number(row.left.toLocaleString("en")), number(share),
      change("statements"), change("decisions"), change("bytes"),
    );
  }

  sort("lines", -1);
}

function table(id, head, rows, numbers) {
  const cell = (tag, text, index, more = {}) => make(tag, { ...more, class: numbers.includes(index) ? "number" : "" }, text);
  document.getElementById(id).append(
    make("thead", {}, make("tr", {}, ...head.map((text, index) => cell("th", text, index, { scope: "col" })))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text, index) => (index ? cell("td", text, index) : cell("th", text, 0, { scope: "row" })))))),
  );
}

function challenge() {
  document.getElementById("challenge-note").textContent = DATA.challenge.note;
  const counts = document.getElementById("challenge-counts");
  for (const [text, isGood] of DATA.challenge.badges) counts.append(badge(text, isGood));
  if (!DATA.challenge.rows.length) return;
  document.getElementById("challenge-scroll").hidden = false;
  table("challenge", DATA.challenge.head, DATA.challenge.rows, []);
}
