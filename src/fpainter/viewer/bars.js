"use strict";
// The rates: a row of bars for each painter and channel, aligned with the slider above them. Where a
// rule has none, one row shows which steps are painted.

// CSS pixels: a row, below it, for the marks of a painter, for its name, the slider's thumb.
const ROW = 36, GAP = 6, MARKS = 14, NAME = 20, THUMB = 24;

class Bars {
  /**
   * @param canvas where to draw
   * @param easels of the painters
   * @param slots steps of the slider besides 0
   * @param actions {choose(t), setRate(t, c, rate, beyond), toggleMute(t)}
   */
  constructor(canvas, easels, slots, actions) {
    Object.assign(this, {canvas, easels, slots, actions});
    this.tops = [];
    this.height = 0;
    for (const {painter} of easels) {
      if (easels.length > 1) this.height += NAME;
      this.tops.push(this.height);
      this.height += rowsOf(painter).length * (ROW + GAP) + MARKS;
    }
    canvas.style.height = `${this.height}px`;
    this.listen();
  }

  /** Where a step of the slider lies. */
  left(step) {
    return THUMB / 2 + step * (this.canvas.clientWidth - THUMB) / this.slots;
  }

  draw(changes) {
    const {canvas, easels} = this, width = canvas.clientWidth;
    [canvas.width, canvas.height] = [width * devicePixelRatio, this.height * devicePixelRatio];
    const context = canvas.getContext("2d");
    context.scale(devicePixelRatio, devicePixelRatio);
    const style = getComputedStyle(document.documentElement);
    const colour = name => style.getPropertyValue(`--${name}`);
    const bar = Math.max(1, .72 * (this.left(1) - this.left(0)));
    easels.forEach((easel, index) => {
      const {painter, here, rate} = easel, top = this.tops[index];
      const [low, high] = rateDomain(easel), rows = rowsOf(painter);
      for (let c = 0; c < rows.length; c++) {
        const level = value => top + c * (ROW + GAP) + ROW * (high - value) / (high - low);
        context.fillStyle = colour("line");
        context.fillRect(0, level(0), width, 1);
        for (let t = 0; t < painter.steps; t++) {
          const left = this.left(t + 1) - bar / 2;
          const now = meanRate(painter, rate, c, t), was = meanRate(painter, here.rate, c, t);
          context.fillStyle = colour(rows[c]);
          context.fillRect(left, level(Math.max(now, 0)), bar, Math.max(1, Math.abs(level(0) - level(now))));
          if (now !== was) {
            context.fillStyle = colour("ink");
            context.fillRect(left, level(was), bar, 1.5);
          }
        }
      }
      context.fillStyle = colour("faint");
      context.font = "13px system-ui, sans-serif";
      context.textAlign = "left";
      if (easels.length > 1) context.fillText(["Left", "Right"][index], 0, top - 7);
      context.fillStyle = colour("ink");
      context.font = "bold 16px system-ui, sans-serif";
      context.textAlign = "center";
      for (const [t, {muted}] of changes) {
        if (t >= painter.steps || !(muted || isRated(painter))) continue;
        context.fillText(muted ? "×" : "•", this.left(t + 1), top + rows.length * (ROW + GAP) + 11);
      }
    });
  }

  /** The bar below a pointer: easel, channel, step; null if there is none. */
  at({offsetX, offsetY}) {
    const t = Math.round((offsetX - this.left(0)) / (this.left(1) - this.left(0))) - 1;
    const index = this.tops.findLastIndex(top => offsetY >= top);
    const easel = this.easels[index];
    if (!easel || t < 0 || t >= easel.painter.steps) return null;
    const row = Math.floor((offsetY - this.tops[index]) / (ROW + GAP));
    return {easel, t, c: Math.min(row, rowsOf(easel.painter).length - 1)};
  }

  listen() {
    const {canvas, actions} = this;
    let drag = null;
    canvas.addEventListener("pointerdown", event => {
      const bar = this.at(event);
      if (!bar || event.button) return;
      if (event.pointerType === "touch") return actions.choose(bar.t);  // too thin for fingers
      const [low, high] = rateDomain(bar.easel), {painter, rate} = bar.easel;
      drag = {...bar, from: event.clientY, unit: ROW / (high - low), moved: false,
              rate: meanRate(painter, rate, bar.c, bar.t)};
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", event => {
      if (!drag) return;
      const risen = drag.from - event.clientY;
      drag.moved ||= Math.abs(risen) > 3;
      if (drag.moved && isRated(drag.easel.painter)) actions.setRate(drag.t, drag.c, drag.rate + risen / drag.unit, event.shiftKey);
    });
    canvas.addEventListener("pointerup", () => {
      if (drag && !drag.moved) actions.toggleMute(drag.t);
      drag = null;
    });
    canvas.addEventListener("pointercancel", () => { drag = null; });
  }
}

/** The colours of a painter's rows of bars. */
function rowsOf(painter) {
  return isRated(painter) ? painter.colours : ["grey"];
}

/** The range in which a painter's rates are drawn: 0..1, more where it has to be. */
function rateDomain({rate}) {
  let [low, high] = [0, 1];
  for (const each of rate.data) [low, high] = [Math.min(low, each), Math.max(high, each)];
  return [low, high];
}
