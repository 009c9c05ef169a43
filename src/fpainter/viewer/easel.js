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
    Object.assign(this, {painter, steps, redraw, done: -1, refined: null});
    const surface = selector => {
      const canvas = figure.querySelector(selector);
      return {canvas, context: canvas.getContext("2d", {willReadFrequently: true})};
    };
    this.picture = surface(".picture");
    this.update = surface(".update canvas");
    this.columns = surface(".columns");
    this.rows = surface(".rows");
    this.note = figure.querySelector(".update p");
    figure.style.setProperty("--ratio", painter.width / painter.height);
    this.lookAt({});
  }

  /** See another part, or with other pixels; the strokes that are shown have to `follow`. */
  lookAt(look) {
    const {channels, perStep, height, width} = this.seen = sized(this.painter, look);
    this.look = look;
    resize(this.picture, width, height);
    resize(this.update, width, height);
    resize(this.columns, width, perStep);
    resize(this.rows, perStep, height);
    if (this.canvas?.length !== channels * height * width) {
      this.canvas = new Float32Array(channels * height * width);
      this.before = new Float32Array(channels * height * width);  // the last step
      this.added = new Float32Array(channels * height * width);
    }
    if (this.stored) this.see();
  }

  /** Sample the strokes where they are looked at. */
  see() {
    const {painter, here, look} = this;
    this.there = look.rows ? sampleAt(painter, this.stored, look) : here;
    this.recorded = recorded(painter, here, this.there, look);
    this.start = blank(painter, look);
  }

  /** Take another sample. */
  load(index) {
    this.index = index;
    const packed = this.painter.samples[index];
    this.stored = unpackParts(this.painter, packed);
    this.here = sampleAt(this.painter, this.stored);
    this.see();
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
    const {painter, here, there, look} = this;
    const change = rate => changedRates(painter, here.rate, changes, rate);
    const painted = mode === "rule" && changes.size ? recorded(painter, here, there, look, change) : this.recorded;
    this.rate = change(here.rate);
    this.shown = {...painted, rate: change(there.rate)};
    this.done = -1;
  }

  /** Bring the canvas to a step. */
  paint(step) {
    const wanted = Math.min(step, this.painter.steps);
    if (this.done < 0 || this.done > wanted) {
      this.canvas.set(this.start);
      this.done = 0;
    }
    if (this.done === wanted) return;
    paintSteps(this.canvas, this.seen, this.shown, this.done, wanted - 1);
    this.before.set(this.canvas);
    paintSteps(this.canvas, this.seen, this.shown, wanted - 1, wanted);
    this.done = wanted;
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
    const down = this.lines(this.there[rows], t, true);
    put(this.rows, down, Math.min(painter.channels, 3), rows === "value" ? byteOf(painter) : signedByteOf(down));
    this.note.textContent = adds ? `What step ${step} changes`
      : refined ? "What the refiner changes"
      : step === 0 ? "Nothing is painted yet" : "Finished: no more strokes";
    const at = refined ? "refined" : `after ${this.done} of ${painter.steps} steps`;
    const [top, left, bottom] = this.look.edges ?? [0, 0, 1], times = 1 / (bottom - top);
    const where = times > 1 ? `, ${times.toFixed(1)} times, from ${percent(left)} across and ${percent(top)} down` : "";
    picture.canvas.setAttribute("aria-label", `Picture ${this.index}, ${at}${where}`);
    this.update.canvas.setAttribute("aria-label", this.note.textContent);
  }

  /** Show the refined image; the update is then how it differs from the finished canvas. */
  refine() {
    if (!this.refined) return;
    const {context, pixels} = this.picture, {low, high, channels} = this.painter;
    const before = pixels.data, size = before.length / 4;
    const [top, left, bottom, right] = this.look.edges ?? [0, 0, 1, 1], {width, height} = this.painter;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.refined, left * width, top * height, (right - left) * width, (bottom - top) * height,
      0, 0, pixels.width, pixels.height);
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

const percent = part => `${Math.round(100 * part)} %`;

function resize(surface, width, height) {
  const {canvas, context, pixels} = surface;
  if (pixels?.width === width && pixels.height === height) return;
  [canvas.width, canvas.height] = [width, height];
  surface.pixels = context.createImageData(width, height);
}

function put({context, pixels}, values, channels, toByte) {
  toPixels(values, channels, pixels.data, toByte);
  context.putImageData(pixels, 0, 0);
}
