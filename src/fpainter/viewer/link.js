"use strict";
// The link to what is shown: picture, step, changes, view. Without a document, for the tests.

/** The part of a link behind "#". */
function writeLink({image, step, mode, changes, view}) {
  const muted = [], rates = [];
  for (const [t, change] of changes) {
    if (change.muted) muted.push(t + 1);
    change.rates.forEach((rate, c) => rates.push(`${t + 1}:${c}:${+rate.toFixed(3)}`));
  }
  const parts = [`image=${image}`, `step=${step}`, `mode=${mode}`];
  if (muted.length) parts.push(`mute=${muted}`);
  if (rates.length) parts.push(`rate=${rates}`);
  const {zoom, x, y, sharp} = view;
  if (zoom > 1 || sharp) parts.push(`view=${[zoom, x, y].map(each => +each.toFixed(4)).join(":")}:${+sharp}`);
  return parts.join("&");
}

/** Read a link; whatever does not fit (images, steps, channels, rates) is passed over. */
function readLink(link, {images, steps, lastStep, channels, rates: [low, high]}) {
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
    if (c >= 0 && rate >= low && rate <= high) {
      const found = change(step);
      if (found) found.rates[c] = rate;
    }
  }
  const [zoom, x, y, sharp] = (given.get("view") ?? "").split(":").map(Number);
  const seen = [zoom, x, y].every(Number.isFinite) && (sharp === 0 || sharp === 1);
  return {
    image: whole(given.get("image"), 0, images - 1, 0),
    step: whole(given.get("step"), 0, lastStep, lastStep),
    mode: given.get("mode") === "rule" ? "rule" : "terms",
    changes,
    view: seen ? within({zoom, x, y, sharp: sharp === 1}) : WHOLE,
  };
}
