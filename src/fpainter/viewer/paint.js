"use strict";
// Numbers of the page: unpacked instructions, learning rules, canvases, bytes, the link.
// No document in here: the tests run this file in Node.
//
// A painter is an entry of the page's data. Arrays are flat: key [C T W], value [C T H],
// rate [C T R] with R = 1 or H, canvas [C H W]. Steps count from 0 in arrays, from 1 for people.

const RATE_LIMITS = [-1, 2];

const ACTIVATE = {
  identity: x => x,
  relu: x => Math.max(x, 0),
  sigmoid: x => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

/** Vectors of the given size from base64: a float32 scale for each, then int16 entries. */
function unpack(text, size) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const count = bytes.length / (4 + 2 * size);
  const scales = new Float32Array(bytes.buffer, 0, count);
  const entries = new Int16Array(bytes.buffer, 4 * count);
  return Float32Array.from(entries, (entry, i) => entry * scales[Math.floor(i / size)]);
}

function unpackSample({height, width, rateSize}, {key, value, rate}) {
  return {key: unpack(key, width), value: unpack(value, height), rate: unpack(rate, rateSize)};
}

/** A fresh canvas: W_0. */
function blank({canvas, channels, height, width}) {
  return canvas ? unpack(canvas, width) : new Float32Array(channels * height * width);
}

/**
 * Run the learning rule: what each step writes at rate one (errors [C T H]) and where
 * (cols [C T W]), so that W_t = W_{t-1} + (rate_t ⊙ error_t) col_tᵀ.
 */
function factors(painter, {key, value}, rate) {
  const {rule, keyActivation, channels, steps, height, width} = painter;
  const errors = value.slice(), cols = key.slice();
  if (rule === "sum") return {errors, cols};
  const canvas = blank(painter);
  for (let t = 0; t < steps; t++) {
    for (let c = 0; c < channels; c++) {
      const at = c * steps + t;
      const error = errors.subarray(at * height, (at + 1) * height);
      const col = cols.subarray(at * width, (at + 1) * width);
      const matrix = canvas.subarray(c * height * width, (c + 1) * height * width);
      if (rule === "delta") {
        for (let y = 0; y < height; y++) {
          let stored = 0;
          for (let x = 0; x < width; x++) stored += matrix[y * width + x] * col[x];
          error[y] -= stored;
        }
      } else {
        for (let x = 0; x < width; x++) {
          let stored = 0;
          for (let y = 0; y < height; y++) stored += matrix[y * width + x] * error[y];
          col[x] -= stored;
        }
        if (keyActivation === "softmax") softmax(col);
      }
    }
    addUpdate(canvas, painter, {errors, cols}, rate, t);
  }
  return {errors, cols};
}

function softmax(vector) {
  const most = Math.max(...vector);
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += vector[i] = Math.exp(vector[i] - most);
  for (let i = 0; i < vector.length; i++) vector[i] /= sum;
}

/** Add the update of step t to a canvas. */
function addUpdate(canvas, painter, {errors, cols}, rate, t) {
  const {channels, steps, height, width, rateSize} = painter;
  for (let c = 0; c < channels; c++) {
    const at = c * steps + t;
    for (let y = 0; y < height; y++) {
      const row = rate[at * rateSize + y % rateSize] * errors[at * height + y];
      if (row === 0) continue;
      const start = (c * height + y) * width;
      for (let x = 0; x < width; x++) canvas[start + x] += row * cols[at * width + x];
    }
  }
}

/** The rate of a step as one number: the mean over its rows. */
function meanRate({steps, rateSize}, rate, c, t) {
  let sum = 0;
  const start = (c * steps + t) * rateSize;
  for (let i = 0; i < rateSize; i++) sum += rate[start + i];
  return sum / rateSize;
}

/**
 * The rates after changes, a map from step to {muted, rates: [C] with undefined where as it was}.
 * Rates of rows keep their proportions.
 */
function changedRates(painter, original, changes) {
  const {channels, steps, rateSize} = painter;
  const rate = original.slice();
  for (const [t, {muted, rates}] of changes) {
    for (let c = 0; c < channels && t < steps; c++) {
      const wanted = muted ? 0 : rates[c];
      if (wanted === undefined) continue;
      const mean = meanRate(painter, original, c, t);
      const start = (c * steps + t) * rateSize;
      for (let i = start; i < start + rateSize; i++) {
        rate[i] = mean ? original[i] * (wanted / mean) : wanted;
      }
    }
  }
  return rate;
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

/** The part of a link behind "#". */
function writeLink({image, step, mode, changes}) {
  const muted = [], rates = [];
  for (const [t, change] of changes) {
    if (change.muted) muted.push(t + 1);
    change.rates.forEach((rate, c) => rates.push(`${t + 1}:${c}:${+rate.toFixed(3)}`));
  }
  const parts = [`image=${image}`, `step=${step}`, `mode=${mode}`];
  if (muted.length) parts.push(`mute=${muted}`);
  if (rates.length) parts.push(`rate=${rates}`);
  return parts.join("&");
}

/** Read a link; whatever does not fit (images, steps, channels) is passed over. */
function readLink(link, {images, steps, lastStep, channels}) {
  const given = new URLSearchParams(link);
  const whole = (text, low, high, otherwise) =>
    /^\d{1,6}$/.test(text) && +text >= low && +text <= high ? +text : otherwise;
  const changes = new Map();
  const change = step => {
    const t = whole(step, 1, steps, 0) - 1;
    if (t >= 0 && !changes.has(t)) changes.set(t, {muted: false, rates: []});
    return changes.get(t);
  };
  for (const step of (given.get("mute") ?? "").split(",")) {
    const found = change(step);
    if (found) found.muted = true;
  }
  for (const entry of (given.get("rate") ?? "").split(",")) {
    const [step, channel, text] = entry.split(":");
    const c = whole(channel, 0, channels - 1, -1), rate = parseFloat(text);
    if (c >= 0 && rate >= RATE_LIMITS[0] && rate <= RATE_LIMITS[1]) {
      const found = change(step);
      if (found) found.rates[c] = rate;
    }
  }
  return {
    image: whole(given.get("image"), 0, images - 1, 0),
    step: whole(given.get("step"), 0, lastStep, lastStep),
    mode: given.get("mode") === "rule" ? "rule" : "terms",
    changes,
  };
}
