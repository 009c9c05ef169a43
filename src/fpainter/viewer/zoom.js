"use strict";
// Looking closer: which part of the pictures is seen, and what people do to see another.
//
// A view is {zoom, x, y, sharp}: how many times larger than the whole picture, the left and the upper
// edge in parts of it, and whether it is painted anew for the screen or enlarged.

const WHOLE = {zoom: 1, x: 0, y: 0, sharp: false};
const CLOSEST = 64, LARGEST_SIDE = 1024;  // times; pixels that are painted
const REST = 150;  // milliseconds after which what moved is painted in full

/** A view as it can be: not beyond the edges. */
function within({zoom, x, y, sharp}) {
  const close = Math.min(Math.max(zoom, 1), CLOSEST), most = 1 - 1 / close;
  return {zoom: close, x: Math.min(Math.max(x, 0), most), y: Math.min(Math.max(y, 0), most), sharp};
}

/** A closer view; what lies at a point of the visible part stays there. It is painted anew at once. */
function zoomed(view, factor, [x, y] = [.5, .5]) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), CLOSEST);
  return within({
    zoom,
    x: view.x + x / view.zoom - x / zoom,
    y: view.y + y / view.zoom - y / zoom,
    sharp: view.sharp || view.zoom === 1 && zoom > 1,
  });
}

/** A view moved by parts of what is visible. */
function moved(view, x, y) {
  return within({...view, x: view.x + x / view.zoom, y: view.y + y / view.zoom});
}

/** What is visible: top, left, bottom, right in parts of the picture. */
function windowOf({zoom, x, y}) {
  return [y, x, Math.min(y + 1 / zoom, 1), Math.min(x + 1 / zoom, 1)];
}

/** How a painter is looked at in an element of a number of pixels; {}: as it was trained. */
function lookOf(painter, view, [height, width]) {
  if (view.zoom === 1 && !view.sharp) return {};
  const most = Math.max(height, width), scale = Math.min(1, LARGEST_SIDE / most);
  const size = [height, width].map(side => Math.max(1, Math.round(side * scale)));
  return lookThrough(painter, windowOf(view), size, view.sharp);
}

/** Wheel, fingers, mouse and keys on a picture. */
class Zoom {
  /**
   * @param element the picture
   * @param read returns the view
   * @param change(view, moving) takes another
   */
  constructor(element, read, change) {
    Object.assign(this, {element, read, change, fingers: new Map()});
    element.addEventListener("wheel", event => this.wheel(event), {passive: false});
    element.addEventListener("dblclick", event => change(zoomed(read(), 2, this.at(event))));
    element.addEventListener("keydown", event => this.key(event));
    element.addEventListener("pointerdown", event => {
      if (event.button) return;
      this.fingers.set(event.pointerId, this.at(event));
      if (read().zoom > 1 || this.fingers.size > 1) element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", event => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      element.addEventListener(end, event => this.fingers.delete(event.pointerId));
    }
  }

  /** Where a pointer is, in parts of the element. */
  at({clientX, clientY}) {
    const {left, top, width, height} = this.element.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  }

  /** Zoom with Ctrl or a pinch on a trackpad, or where the picture was clicked; else the page scrolls. */
  wheel(event) {
    if (!event.ctrlKey && document.activeElement !== this.element) return;
    event.preventDefault();
    const lines = event.deltaMode ? 30 * event.deltaY : event.deltaY;
    this.change(zoomed(this.read(), Math.exp(-lines / (event.ctrlKey ? 100 : 400)), this.at(event)), true);
  }

  move(event) {
    const {fingers} = this, before = fingers.get(event.pointerId), after = this.at(event);
    if (!before) return;
    const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    fingers.set(event.pointerId, after);
    const middle = at => other ? [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2] : at;
    const [from, to] = [middle(before), middle(after)];
    let view = this.read();
    if (other) view = zoomed(view, this.apart(after, other) / this.apart(before, other), from);
    if (view.zoom > 1) this.change(moved(view, from[0] - to[0], from[1] - to[1]), true);
  }

  /** How far two points are apart, in pixels. */
  apart([x, y], [u, v]) {
    const {clientWidth, clientHeight} = this.element;
    return Math.max(1, Math.hypot((x - u) * clientWidth, (y - v) * clientHeight));
  }

  key(event) {
    const view = this.read(), step = .2;
    const found = event.ctrlKey || event.metaKey || event.altKey ? undefined : {
      "+": () => zoomed(view, 1.5), "=": () => zoomed(view, 1.5), "-": () => zoomed(view, 1 / 1.5),
      0: () => WHOLE,
      ArrowLeft: () => moved(view, -step, 0), ArrowRight: () => moved(view, step, 0),
      ArrowUp: () => moved(view, 0, -step), ArrowDown: () => moved(view, 0, step),
    }[event.key];
    if (!found || event.key.startsWith("Arrow") && view.zoom === 1) return;
    event.preventDefault();
    event.stopPropagation();
    this.change(found());
  }
}
