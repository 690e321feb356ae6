// What all parts use. Every text goes in as text: nothing of a source is ever read as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** An element with attributes and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The address of a line. */
function anchor(side, file, line) {
  return `#${side}/${file.split("/").map(encodeURIComponent).join("/")}${line ? `:${line}` : ""}`;
}

/** A sentence whose parts between backticks are code. */
function quoted(text) {
  return text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

/** A path that may be broken behind each slash. */
function breakable(path) {
  return path.split("/").flatMap((part, index) => (index ? ["/", make("wbr"), part] : [part]));
}
