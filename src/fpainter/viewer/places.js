"use strict";
// Where a picture is looked at, and the parts of its strokes there. Like paint.js, without a document.
//
// Patterns are functions of the place: sums of cosines, or straight lines between the trained pixels.
// What a rule reads from the canvas are sums over the trained columns, whatever is looked at. So a
// picture is painted first on the rows that are looked at and the trained columns, which says what
// each stroke writes, and then what was written on the columns that are looked at.

const sigmoid = x => 1 / (1 + Math.exp(-x));

const ACTIVATE = {
  identity: x => x,
  relu: x => Math.max(x, 0),
  sigmoid,
  tanh: Math.tanh,
  double_sigmoid: x => 2 * sigmoid(x),
  low_sigmoid: x => sigmoid(x - 2),
  fade: x => -1.3 * sigmoid(x - 6),
  from_one: x => 1 + x,
  softplus: x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
};

/** Along which axis parts lie that are not made of patterns. */
const ALONG = {key: "columns", write: "columns", fade_columns: "columns", value: "rows", rate: "rows", fade_rows: "rows"};

/**
 * Where pixels lie along a side, `several` places for each, which are averaged.
 * @param begin, end in parts of the side
 * @param pixels that look
 * @param side trained pixels
 */
function lookAlong(begin, end, pixels, side) {
  const several = Math.max(1, Math.ceil(side * (end - begin) / pixels)), places = new Float64Array(pixels * several);
  for (let i = 0; i < places.length; i++) places[i] = begin + (end - begin) * (i + .5) / places.length;
  return {pixels, several, places};
}

/** Look through a window [top, left, bottom, right] with [height, width] pixels; not sharp: enlarge. */
function lookThrough(painter, [top, left, bottom, right], [height, width], sharp = true) {
  return {
    edges: [top, left, bottom, right],
    rows: lookAlong(top, bottom, height, painter.height),
    columns: lookAlong(left, right, width, painter.width),
    sharp: sharp && !painter.oneSize,
  };
}

/** A painter of as many pixels as look. */
function sized(painter, {rows, columns}) {
  return {...painter, height: rows?.pixels ?? painter.height, width: columns?.pixels ?? painter.width};
}

/** What each trained pixel of a side weighs at places, [places side]. */
function weights(smooth, places, side) {
  const found = new Float32Array(places.length * side);
  places.forEach((place, p) => {
    const row = found.subarray(p * side, (p + 1) * side);
    if (smooth === "nearest") {
      row[Math.min(Math.floor(place * side), side - 1)] = 1;
    } else if (smooth === "linear") {
      const centre = Math.min(Math.max(place * side - .5, 0), side - 1), low = Math.floor(centre);
      row[low] = 1 - (centre - low);
      if (low + 1 < side) row[low + 1] = centre - low;
    } else {
      for (let i = 0; i < side; i++) {
        const pixel = (i + .5) / side;
        row[i] = (waves(place - pixel, side) + waves(place + pixel, side)) / (2 * side);
      }
    }
  });
  return found;
}

/** The sum of cos(pi f x) over frequencies -N < f < N. */
function waves(x, N) {
  const half = Math.sin(Math.PI * x / 2);
  return Math.abs(half) < 1e-9 ? 2 * N - 1 : Math.sin((N - .5) * Math.PI * x) / half;
}

/** Vectors as they are seen, activated; those that are normalised, by what they are here. */
function seen(vectors, {pixels, several, places}, smooth, activation) {
  const {size, data} = vectors, weight = weights(smooth, places, size), num = data.length / size;
  const found = new Float32Array(num * pixels);
  for (let line = 0; line < num; line++) {
    const here = data.subarray(line * size, (line + 1) * size), activate = activation(here);
    for (let p = 0; p < places.length; p++) {
      let there = 0;
      for (let i = 0, w = p * size; i < size; i++, w++) there += weight[w] * here[i];
      found[line * pixels + Math.floor(p / several)] += activate(there) / several;
    }
  }
  return new Vectors(found, pixels, vectors.strokes);
}

/** How to activate the entries of a vector, given what it is at the trained pixels. */
function activationOf(name) {
  if (name === "softmax") {
    return here => {
      let sum = 0;
      for (const x of here) sum += Math.exp(x);
      return x => Math.exp(x) / sum;
    };
  }
  if (name === "unit") {
    return here => {
      const length = Math.max(Math.sqrt(here.reduce((sum, x) => sum + x * x, 0)), 1e-12);
      return x => x / length;
    };
  }
  return () => ACTIVATE[name];
}

/** Everything that is packed of a sample, by name. */
function unpackParts({sizes, lines}, packed) {
  const parts = {};
  for (const name in sizes) parts[name] = new Vectors(unpack(packed[name], sizes[name]), sizes[name], lines[name]);
  return parts;
}

/** The parts of a sample as they are seen; with no `rows` or `columns`, at the trained pixels. */
function partsAt(painter, stored, look) {
  const {patterns, made, sizes, height, width} = painter, sides = {rows: height, columns: width};
  const found = {}, activated = {};
  for (const name in patterns) {
    const {axis, activation, smooth} = patterns[name];
    const at = look[axis] ?? lookAlong(0, 1, sides[axis], sides[axis]);
    const between = look[axis] && look.sharp ? smooth : "nearest";
    activated[name] = seen(stored[`${name} order`], at, between, activationOf(activation));
  }
  for (const name in made) found[name] = composed(painter, name, activated, stored[`${name} scale`]);
  for (const name in sizes) {
    if (/ (order|scale)$/.test(name)) continue;
    const at = sizes[name] > 1 && look[ALONG[name]];
    found[name] = at ? seen(stored[name], at, "nearest", activationOf("identity")) : stored[name];
  }
  return found;
}

/** A part of the strokes: products of patterns, times a scale. */
function composed({steps, perStep, made}, part, patterns, scale) {
  const strokes = steps * perStep, used = made[part].flat().map(name => patterns[name]), {size} = used[0];
  const channels = Math.max(...[...used, ...scale ? [scale] : []].map(each => each.channels));
  const found = new Vectors(new Float32Array(channels * strokes * size).fill(1), size, strokes);
  for (let c = 0; c < channels; c++) {
    for (let s = 0; s < strokes; s++) {
      const to = found.at(c, s);
      for (const name of made[part][s % perStep]) {
        const lines = patterns[name];
        multiply(to, lines.at(c, lines.strokes === strokes ? s : Math.floor(s / perStep)));
      }
      if (scale) multiply(to, scale.at(c, s));
    }
  }
  return found;
}
