"use strict";
// The figure of one painter: canvas, key, value and update at a step.

/** A painter's figure: the canvas as it stands, painted forward where that is possible. */
class Easel {
  /**
   * @param painter an entry of the page's data
   * @param figure its element
   * @param steps the most steps of any painter on the page; the step after them is the refined image
   * @param redraw called when an image has been decoded
   */
  constructor(painter, figure, steps, redraw) {
    const {height, width, channels} = painter;
    Object.assign(this, {painter, steps, redraw, done: -1, refined: null});
    const surface = (selector, w, h) => {
      const canvas = figure.querySelector(selector);
      [canvas.width, canvas.height] = [w, h];
      const context = canvas.getContext("2d", {willReadFrequently: true});
      return {canvas, context, pixels: context.createImageData(w, h)};
    };
    this.picture = surface(".picture", width, height);
    this.update = surface(".update canvas", width, height);
    this.key = surface(".key", width, 1);
    this.value = surface(".value", 1, height);
    this.note = figure.querySelector(".update p");
    this.canvas = new Float32Array(channels * height * width);
    this.added = new Float32Array(channels * height * width);
    figure.style.setProperty("--ratio", width / height);
  }

  /** Take another sample. */
  load(index) {
    this.index = index;
    const packed = this.painter.samples[index];
    this.sample = unpackSample(this.painter, packed);
    this.original = factors(this.painter, this.sample, this.sample.rate);
    this.start = blank(this.painter);
    this.refined = null;
    if (packed.refined) {
      const image = new Image();
      image.onload = () => {
        if (this.index === index) this.refined = image;
        this.redraw();
      };
      image.src = `data:image/png;base64,${packed.refined}`;
    }
  }

  /** Take over the changes. */
  follow({changes, mode}) {
    this.rate = changedRates(this.painter, this.sample.rate, changes);
    this.factors = mode === "rule" && changes.size
      ? factors(this.painter, this.sample, this.rate) : this.original;
    this.done = -1;
  }

  /** Bring the canvas to a step. */
  paint(step) {
    const wanted = Math.min(step, this.painter.steps);
    if (this.done < 0 || this.done > wanted) {
      this.canvas.set(this.start);
      this.done = 0;
    }
    while (this.done < wanted) {
      addUpdate(this.canvas, this.painter, this.factors, this.rate, this.done++);
    }
  }

  show(step, stretched) {
    const {painter, picture} = this;
    const t = step - 1;
    const adds = t >= 0 && t < painter.steps, refined = step > this.steps && painter.refines;
    this.paint(step);
    this.added.fill(0);
    put(picture, this.canvas, painter.channels, byteOf(painter));
    if (adds) addUpdate(this.added, painter, this.factors, this.rate, t);
    if (refined) this.refine();
    put(this.update, this.added, Math.min(painter.channels, 3),
      stretched ? signedByteOf(this.added) : byteOf(painter));
    const {width, height} = painter;
    const key = this.vectors(this.factors.cols, width, t);
    put(this.key, key, Math.min(painter.channels, 3), signedByteOf(key));
    const value = this.vectors(this.sample.value, height, t);
    put(this.value, value, Math.min(painter.channels, 3), byteOf(painter));
    this.note.textContent = adds ? `What step ${step} adds`
      : refined ? "What the refiner changes"
      : step === 0 ? "Nothing is painted yet" : "Finished: no more strokes";
    const at = refined ? "refined" : `after ${this.done} of ${painter.steps} steps`;
    picture.canvas.setAttribute("aria-label", `Picture ${this.index}, ${at}`);
    this.update.canvas.setAttribute("aria-label", this.note.textContent);
  }

  /** Show the refined image; the update is then how it differs from the finished canvas. */
  refine() {
    if (!this.refined) return;
    const {context, pixels} = this.picture, {low, high, channels} = this.painter;
    const before = pixels.data, size = before.length / 4;
    context.drawImage(this.refined, 0, 0);
    const after = context.getImageData(0, 0, pixels.width, pixels.height).data;
    for (let i = 0; i < size; i++) {
      for (let c = 0; c < channels; c++) {
        this.added[c * size + i] = (after[4 * i + c] - before[4 * i + c]) * (high - low) / 255;
      }
    }
  }

  /** The vectors [C size] of step t; zeros where there is no such step. */
  vectors(all, size, t) {
    const {channels, steps} = this.painter;
    const found = new Float32Array(channels * size);
    for (let c = 0; c < channels && t >= 0 && t < steps; c++) {
      found.set(all.subarray((c * steps + t) * size, (c * steps + t + 1) * size), c * size);
    }
    return found;
  }
}

function put({context, pixels}, values, channels, toByte) {
  toPixels(values, channels, pixels.data, toByte);
  context.putImageData(pixels, 0, 0);
}
