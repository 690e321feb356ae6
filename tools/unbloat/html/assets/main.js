// Which view is shown, by the address; and the colours.

const VIEW = new SourceView();
overview();
new Search(VIEW);

/** Show what the address names: `#legacy/FILE:LINE`, `#stripped/FILE:LINE`, `#source`, or a part of the overview. */
function route() {
  const found = /^#(legacy|stripped)\/(.+?)(?::(\d+))?$/.exec(address());
  const [side, file] = found ? [found[1], found[2]] : ["legacy", location.hash === "#source" ? largest() : ""];
  const line = found?.[3] ? Number(found[3]) : 1;
  const isKnown = file !== "" && line > 0 && VIEW.trees[side].has(file, line);
  document.getElementById("source").hidden = !isKnown;
  document.getElementById("overview").hidden = isKnown;
  for (const [id, isHere] of [["to-overview", !isKnown], ["to-source", isKnown]]) {
    if (isHere) document.getElementById(id).setAttribute("aria-current", "page");
    else document.getElementById(id).removeAttribute("aria-current");
  }
  if (!isKnown) {
    document.title = DATA.title;
    return;
  }
  VIEW.show(side, file, line);
  VIEW.drawMaps();
  VIEW.panes[side].list.focus({ preventScroll: true });
}

function address() {
  try {
    return decodeURIComponent(location.hash);
  } catch {
    return ""; // mistyped: it names nothing
  }
}

/** The file to begin with: the one that was open, or the longest. */
function largest() {
  if (VIEW.panes.legacy.file !== null) return VIEW.panes.legacy.file;
  const names = Object.keys(DATA.legacy);
  return names.reduce((one, two) => (DATA.legacy[two].kinds.length > DATA.legacy[one].kinds.length ? two : one), names[0] ?? "");
}

const THEMES = ["system", "light", "dark"];
const THEME = document.getElementById("theme");

function remembered() {
  try {
    return localStorage.getItem("unbloat-theme") ?? "system";
  } catch {
    return "system"; // a browser may keep nothing for files
  }
}

function paint(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  THEME.dataset.now = theme;
  THEME.textContent = { system: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[theme];
  THEME.setAttribute("aria-label", `Colours: ${theme === "system" ? "as the system has them" : theme}`);
  try {
    localStorage.setItem("unbloat-theme", theme);
  } catch {
    // then it is asked for again next time
  }
  VIEW.drawMaps();
}

THEME.addEventListener("click", () => paint(THEMES[(THEMES.indexOf(THEME.dataset.now) + 1) % THEMES.length]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => VIEW.drawMaps());
addEventListener("hashchange", route);
paint(remembered());
route();
