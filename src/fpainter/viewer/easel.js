"use strict";
// The figure of one painter: canvas, patterns and update at a step.

/** A painter's figure: the canvas as it stands, painted forward where that is possible. */
class Easel {
  /**
   * @param painter an entry of the page's data
   * @param figure its element
   * @param steps the most steps of any painter on the page; the step after them is the refined image
   * @param redraw called when an image has been decoded
   */
  constructor(painter, figure, steps, redraw) {
    const {height, width, channels, perStep} = painter;
    Object.assign(this, {painter, steps, redraw, done: -1, refined: null});
    const surface = (selector, w, h) => {
      const canvas = figure.querySelector(selector);
      [canvas.width, canvas.height] = [w, h];
      const context = canvas.getContext("2d", {willReadFrequently: true});
      return {canvas, context, pixels: context.createImageData(w, h)};
    };
    this.picture = surface(".picture", width, height);
    this.update = surface(".update canvas", width, height);
    this.columns = surface(".columns", width, perStep);
    this.rows = surface(".rows", perStep, height);
    this.note = figure.querySelector(".update p");
    this.canvas = new Float32Array(channels * height * width);
    this.before = new Float32Array(channels * height * width);  // the last step
    this.added = new Float32Array(channels * height * width);
    figure.style.setProperty("--ratio", width / height);
  }

  /** Take another sample. */
  load(index) {
    this.index = index;
    const packed = this.painter.samples[index];
    this.sample = unpackSample(this.painter, packed);
    this.recorded = recorded(this.painter, unpackSample(this.painter, packed));
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
    this.shown = {...mode === "rule" && changes.size ? this.sample : this.recorded, rate: this.rate};
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
      this.before.set(this.canvas);
      paintStep(this.canvas, this.painter, this.shown, this.done++);
    }
  }

  show(step, stretched) {
    const {painter, picture} = this, {columns, rows} = RULES[painter.rule];
    const t = step - 1;
    const adds = t >= 0 && t < painter.steps, refined = step > this.steps && painter.refines;
    this.paint(step);
    this.added.fill(0);
    put(picture, this.canvas, painter.channels, byteOf(painter));
    if (adds) this.canvas.forEach((entry, i) => { this.added[i] = entry - this.before[i]; });
    if (refined) this.refine();
    put(this.update, this.added, Math.min(painter.channels, 3),
      stretched ? signedByteOf(this.added) : byteOf(painter));
    const across = this.lines(this.shown[columns], t, false);
    put(this.columns, across, Math.min(painter.channels, 3), signedByteOf(across));
    const down = this.lines(this.sample[rows], t, true);
    put(this.rows, down, Math.min(painter.channels, 3), rows === "value" ? byteOf(painter) : signedByteOf(down));
    this.note.textContent = adds ? `What step ${step} changes`
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

  /** The strokes of step t, a line [C strokes size] for each, or upright [C size strokes]. */
  lines(vectors, t, upright) {
    const {channels, steps, perStep} = this.painter, {size} = vectors;
    const found = new Float32Array(channels * perStep * size);
    if (t < 0 || t >= steps) return found;
    for (let c = 0; c < channels; c++) {
      vectors.at(c, t * perStep, perStep).forEach((entry, i) => {
        const line = Math.floor(i / size), at = i % size;
        found[c * perStep * size + (upright ? at * perStep + line : i)] = entry;
      });
    }
    return found;
  }
}

function put({context, pixels}, values, channels, toByte) {
  toPixels(values, channels, pixels.data, toByte);
  context.putImageData(pixels, 0, 0);
}
