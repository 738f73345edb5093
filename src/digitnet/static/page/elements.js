/** The elements of the page: those that are there, by id, and new ones. */

export const byId = (id) => document.getElementById(id);

/** Return a new element; `role`, and names with a dash, are attributes, all else are properties. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "role" || key.includes("-")) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

export function button(words, onClick, properties = {}) {
  return make("button", { textContent: words, onclick: onClick, ...properties });
}
