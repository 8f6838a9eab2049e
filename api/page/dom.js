// Elements made from data: text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function dispatch(event) {
  this.handlers?.[event.type]?.call(this, event);
}

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      element.handlers = value;
      for (const type of Object.keys(value)) element.addEventListener(type, dispatch);
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element; `on` holds handlers by type. */
export const h = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);

/** The same of SVG. */
export const s = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);
const isAlike = (old, fresh) => old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);

function patchAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    // What the person opened stays open.
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

function patch(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  patchAttributes(old, fresh);
  // What is in a slot draws itself.
  if (old.hasAttribute("data-slot")) return;
  for (const type of Object.keys(fresh.handlers ?? {})) {
    if (!old.handlers?.[type]) old.addEventListener(type, dispatch);
  }
  old.handlers = fresh.handlers;
  patchChildren(old, [...fresh.childNodes]);
}

function patchChildren(parent, fresh) {
  const keyed = new Map([...parent.childNodes].filter(keyOf).map((node) => [keyOf(node), node]));
  let place = parent.firstChild;
  for (const node of fresh) {
    const found = keyOf(node) ? keyed.get(keyOf(node)) : place;
    if (found && isAlike(found, node)) {
      if (found === place) place = place.nextSibling;
      else parent.insertBefore(found, place);
      patch(found, node);
    } else {
      parent.insertBefore(node, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** Let an element have these children, changing what differs only: focus, selection and what is open stay. */
export function show(parent, ...children) {
  patchChildren(parent, [...h("div", null, ...children).childNodes]);
}

/** A place for an element that draws itself; `fill` puts it there. */
export const slot = (name, attributes) => h("div", { ...attributes, "data-slot": name, "data-key": name });

export function fill(root, elements) {
  for (const [name, element] of Object.entries(elements)) {
    const place = root.querySelector(`[data-slot="${name}"]`);
    if (place && place.firstChild !== element) place.replaceChildren(element);
  }
}
