"use strict";
// Numbers of the page: unpacked samples, learning rules, canvases, bytes.
// No document in here: the tests run this file and places.js in Node.
//
// A painter is an entry of the page's data. A sample is what is painted, parts by name: those of
// a program of strokes, or what the rule orders. A canvas is flat, [C H W]. Steps and strokes count
// from 0 in arrays, from 1 for people.

/** How to paint steps, and which parts are shown along columns and rows, by the rule's `page`. */
const RULES = {
  strokes: {paint: paintStrokes, columns: "write", rows: "value"},
  oja: {paint: paintOja, columns: "write", rows: "value"},
  over: {paint: paintOver, columns: "columns", rows: "rows"},
  veil: {paint: paintVeil, columns: "key", rows: "value"},
};

/** Vectors of each channel and stroke, flat: [C S size], or [1 S size] where channels share them. */
class Vectors {
  constructor(data, size, strokes) {
    Object.assign(this, {data, size, strokes, channels: data.length / size / strokes});
  }

  /** The vector of channel c at stroke s, or those of several strokes in a row; a view. */
  at(c, s, several = 1) {
    const start = (c * this.strokes + s) * this.size % this.data.length;
    return this.data.subarray(start, start + several * this.size);
  }

  /** A copy in which each channel has its own. */
  copy(channels) {
    const data = new Float32Array(channels * this.strokes * this.size);
    for (let i = 0; i < data.length; i += this.data.length) data.set(this.data, i);
    return new Vectors(data, this.size, this.strokes);
  }
}

/** Vectors from base64: a float32 scale for each, then int16 entries; single numbers are float32. */
function unpack(text, size) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  if (size === 1) return new Float32Array(bytes.buffer);
  const count = bytes.length / (4 + 2 * size);
  const scales = new Float32Array(bytes.buffer, 0, count);
  const entries = new Int16Array(bytes.buffer, 4 * count);
  return Float32Array.from(entries, (entry, i) => entry * scales[Math.floor(i / size)]);
}

/** A sample, ready to be painted as it is seen; painting leaves its traces in `written` and `write`. */
function sampleAt(painter, stored, look = {}) {
  const {channels, steps, rule, reads} = painter, sample = {rule, ...partsAt(painter, stored, look)};
  for (const name of ["fade_rows", "fade_columns"]) {
    const fade = sample[name];
    if (fade) sample[name] = new Vectors(fade.data.map(Math.exp), fade.size, fade.strokes);
  }
  sample.read = sample[reads];
  sample.write ??= sample.key?.copy(channels);
  sample.written = sample.value?.copy(channels);
  // A step without a rate is painted, 1, or left out, 0.
  sample.rate = (sample.rate ?? new Vectors(new Float32Array(steps).fill(1), 1, steps)).copy(channels);
  return sample;
}

/** Whether the steps of a painter have rates. */
function isRated({sizes, made}) {
  return "rate" in sizes || "rate" in made;
}

/** A fresh canvas as it is seen: W_0. */
function blank({canvas, channels, height, width}, {rows, columns} = {}) {
  const [H, W] = [rows?.pixels ?? height, columns?.pixels ?? width];
  if (!canvas) return new Float32Array(channels * H * W);
  const across = new Vectors(unpack(canvas, width), width, height);
  const lines = columns ? seen(across, columns, "nearest", activationOf("identity")).data : across.data;
  if (!rows) return lines;
  const found = new Float32Array(channels * H * W), several = rows.several;
  for (let i = 0; i < found.length; i++) {
    const c = Math.floor(i / (H * W)), y = Math.floor(i / W) % H;
    for (let k = 0; k < several; k++) {
      const from = Math.min(Math.floor(rows.places[y * several + k] * height), height - 1);
      found[i] += lines[(c * height + from) * W + i % W] / several;
    }
  }
  return found;
}

/** Paint steps `from` to `to`, exclusive, of a sample on a canvas. */
function paintSteps(canvas, painter, sample, from, to) {
  const {paint} = RULES[sample.rule];
  if (isRated(painter)) return paint(canvas, painter, sample, from, to);
  for (let t = from; t < to; t++) if (sample.rate.at(0, t)[0]) paint(canvas, painter, sample, t, t + 1);
}

/**
 * What is painted, as it is seen: it reads nothing any more, and writes what was written, where it was.
 * @param here the sample at the trained pixels
 * @param there the same as it is seen
 * @param change from the rates of a sample to those with which the rule is run
 */
function recorded(painter, here, there, look, change = rate => rate) {
  if (!isRated(painter)) return there;
  const all = painter.rule === "oja";  // its keys are read from rows
  const narrow = all ? here : {...here, value: there.value, fade_rows: there.fade_rows};
  const sight = {rows: all ? undefined : look.rows};
  const run = {...narrow, rate: change((all ? here : there).rate), written: narrow.value.copy(painter.channels)};
  paintSteps(blank(painter, sight), sized(painter, sight), run, 0, painter.steps);
  const at = (vectors, side) => side && all ? seen(vectors, side, "nearest", activationOf("identity")) : vectors;
  const value = at(run.written, look.rows);
  const write = all ? at(run.write.copy(painter.channels), look.columns) : there.write;
  return {...there, rule: "strokes", value, write, written: value.copy(painter.channels), read: undefined};
}

/** Run a program: at each stroke the canvas fades, is read and is written on. Rows do not mix. */
function paintStrokes(canvas, painter, sample, from, to) {
  const {value, write, read, rate, fade_rows, fade_columns, written} = sample;
  forRows(canvas, painter, (row, c, y) => {
    for (let s = from * painter.perStep; s < to * painter.perStep; s++) {
      const down = fade_rows?.at(c, s), across = fade_columns?.at(c, s);
      if (down) multiply(row, down.length > 1 ? down.subarray(y, y + 1) : down);
      if (across) multiply(row, across);
      const where = read?.at(c, s), rates = rate.at(c, s);
      let error = value.at(c, s)[y];
      for (let x = 0; where && x < row.length; x++) error -= row[x] * where[x];
      written.at(c, s)[y] = error;
      add(row, error * rates[y % rates.length], write.at(c, s));
    }
  });
}

/** Oja's rule: what the canvas answers to the value, read backwards, is taken off the key. */
function paintOja(canvas, painter, sample, from, to) {
  const {key, value, write} = sample;
  for (let t = from; t < to; t++) {
    for (let c = 0; c < painter.channels; c++) write.at(c, t).set(key.at(c, t));
    forRows(canvas, painter, (row, c, y) => add(write.at(c, t), -value.at(c, t)[y], row));
    for (let c = 0; c < painter.channels; c++) {
      if (painter.keyActivation === "softmax") softmax(write.at(c, t));
    }
    paintStrokes(canvas, painter, sample, t, t + 1);
  }
}

/** A matte of one colour covers what is under it. */
function paintOver(canvas, painter, {columns, rows, colour}, from, to) {
  forRows(canvas, painter, (row, c, y) => {
    for (let t = from; t < to; t++) {
      const across = columns.at(c, t), down = rows.at(c, t)[y], [z] = colour.at(c, t);
      for (let x = 0; x < row.length; x++) row[x] += down * across[x] * (z - row[x]);
    }
  });
}

/** A matte takes away what is under it, and a coloured stroke is added. */
function paintVeil(canvas, painter, {key, value, columns, rows, colour}, from, to) {
  forRows(canvas, painter, (row, c, y) => {
    for (let t = from; t < to; t++) {
      const across = columns.at(c, t), down = rows.at(c, t)[y];
      for (let x = 0; x < row.length; x++) row[x] -= down * across[x] * row[x];
      add(row, colour.at(c, t)[0] * value.at(c, t)[y], key.at(c, t));
    }
  });
}

/** Act on each row of a canvas: act(row, c, y). */
function forRows(canvas, {channels, height, width}, act) {
  for (let i = 0; i < channels * height; i++) {
    act(canvas.subarray(i * width, (i + 1) * width), Math.floor(i / height), i % height);
  }
}

/** Multiply a vector by another, or by the only entry of one. */
function multiply(vector, factors) {
  for (let i = 0; i < vector.length; i++) vector[i] *= factors[i % factors.length];
}

function add(vector, factor, other) {
  for (let i = 0; factor && i < vector.length; i++) vector[i] += factor * other[i];
}

function softmax(vector) {
  const most = Math.max(...vector);
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += vector[i] = Math.exp(vector[i] - most);
  for (let i = 0; i < vector.length; i++) vector[i] /= sum;
}

/** The rate of a step as one number: the mean over its strokes and rows. */
function meanRate({perStep}, rate, c, t) {
  const rates = rate.at(c, t * perStep, perStep);
  return rates.reduce((sum, each) => sum + each, 0) / rates.length;
}

/**
 * The rates after changes, a map from step to {muted, rates: [C] with undefined where as it was}.
 * Rates of a step's strokes and rows keep their proportions. Those that are `seen` change alike.
 */
function changedRates(painter, original, changes, seen = original) {
  const {channels, steps, perStep} = painter, rate = seen.copy(channels);
  for (const [t, {muted, rates}] of changes) {
    for (let c = 0; c < channels && t < steps; c++) {
      const wanted = muted ? 0 : isRated(painter) ? rates[c] : undefined;
      if (wanted === undefined) continue;
      const mean = meanRate(painter, original, c, t), step = rate.at(c, t * perStep, perStep);
      step.forEach((each, i) => { step[i] = mean ? each * (wanted / mean) : wanted; });
    }
  }
  return rate;
}

/** The rates that a link may have: beyond 0 to 1, or to the highest there is. */
function rateLimits(painters) {
  const highest = Math.max(...painters.map(painter => painter.highestRate));
  return [-highest, 2 * highest];
}

/** Write the first channels of values [C H W] as RGBA; bytes are clamped and rounded here. */
function toPixels(values, channels, pixels, toByte) {
  const size = pixels.length / 4;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) {
      pixels[4 * i + c] = toByte(values[channels < 3 ? i : c * size + i]);
    }
    pixels[4 * i + 3] = channels === 4 ? toByte(values[3 * size + i]) : 255;
  }
}

/** The map from canvas values to bytes that exports the image. */
function byteOf({activation, low, high}) {
  const activate = ACTIVATE[activation], scale = 255 / (high - low);
  return value => (activate(value) - low) * scale;
}

/** The map from values to bytes that shows signs: zero is grey, the largest white or black. */
function signedByteOf(values) {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  const scale = most ? 127.5 / most : 0;
  return value => 127.5 + value * scale;
}
