"use strict";
// The page: what is shown, and what people can do with it.

const find = selector => document.querySelector(selector);
const painters = JSON.parse(find("#data").textContent);
const images = painters[0].samples.length;
const steps = Math.max(...painters.map(painter => painter.steps));
const channels = Math.max(...painters.map(painter => painter.channels));
const colours = painters.find(painter => painter.channels === channels).colours;
const hasRefined = painters.some(painter => painter.refines);
const rates = rateLimits(painters), highest = rates[1] / 2;
const HOLD = 1.2;  // seconds on the last step before a loop begins again

const state = {image: 0, step: 0, mode: "terms", changes: new Map(), view: WHOLE};
let lastStep = 0;    // steps + 1 is the refined image
let playing = false;

const stepSlider = find("#step"), playButton = find("#play"), muteButton = find("#mute");
const stretchBox = find("#stretch"), loopBox = find("#loop");

// The pictures

const easels = [...document.querySelectorAll(".work")].map(
  (figure, i) => new Easel(painters[i], figure, steps, draw));

const bars = new Bars(find("#bars"), easels, steps + hasRefined, {
  choose: t => goTo(t + 1), setRate, toggleMute,
});

// The view, coarse while it moves

const sharpBox = find("#sharp");
let resting = 0;

function setView(view, moving = false) {
  state.view = view;
  look(moving ? 3 : 1);
  clearTimeout(resting);
  if (moving) resting = setTimeout(look, REST, 1);
}

/** Take over the view, each pixel as large as some of the screen's. */
function look(coarse) {
  const {view} = state;
  for (const easel of easels) {
    const {clientWidth, clientHeight} = easel.picture.canvas, scale = devicePixelRatio / coarse;
    easel.lookAt(lookOf(easel.painter, view, [clientHeight * scale, clientWidth * scale]));
    easel.follow(state);
    easel.picture.canvas.style.touchAction = view.zoom > 1 ? "none" : "pan-y";
    easel.picture.canvas.classList.toggle("held", view.zoom > 1);
  }
  sharpBox.checked = view.sharp;
  find("#closer").disabled = view.zoom >= CLOSEST;
  find("#farther").disabled = view.zoom <= 1;
  find("#whole").disabled = view.zoom <= 1 && !view.sharp;
  find("#zoomed").textContent = `${view.zoom.toFixed(1)} ×`;
  const bound = view.sharp ? painters.filter(({oneSize}) => oneSize) : [];
  find("#sizes").textContent = bound.map(({name, oneSize}) => `${name} is enlarged, since it paints at one size: ${oneSize}.`).join(" ");
  draw();
}

for (const {picture} of easels) new Zoom(picture.canvas, () => state.view, setView);
find("#closer").addEventListener("click", () => setView(zoomed(state.view, 1.5)));
find("#farther").addEventListener("click", () => setView(zoomed(state.view, 1 / 1.5)));
find("#whole").addEventListener("click", () => setView(WHOLE));
sharpBox.addEventListener("change", () => setView({...state.view, sharp: sharpBox.checked}));

// Changes

function changeOf(t) {
  if (!state.changes.has(t)) state.changes.set(t, {muted: false, rates: []});
  return state.changes.get(t);
}

function setRate(t, c, rate, beyond) {
  const [low, high] = beyond ? rates : [0, highest];
  const change = changeOf(t);
  change.muted = false;
  change.rates[c] = Math.round(Math.min(Math.max(rate, low), high) * 1000) / 1000;
  changed();
}

function toggleMute(t) {
  const change = changeOf(t);
  change.muted = !change.muted;
  if (!change.muted && !change.rates.length) state.changes.delete(t);
  changed();
}

function reset() {
  state.changes.clear();
  changed();
}

function setMode(mode) {
  state.mode = mode;
  changed();
}

/** Paint anew after a change of rates, mode or image. */
function changed() {
  for (const easel of easels) easel.follow(state);
  lastStep = steps + (hasRefined && !state.changes.size);
  state.step = Math.min(state.step, lastStep);
  find("#reset").disabled = !state.changes.size;
  for (const radio of document.querySelectorAll("[name=mode]")) radio.checked = radio.value === state.mode;
  find("#note").textContent = hasRefined && state.changes.size
    ? "The refined picture belongs to the unchanged strokes; reset to see it again." : "";
  bars.draw(state.changes);
  draw();
}

function goTo(step) {
  state.step = Math.min(Math.max(step, 0), lastStep);
  draw();
}

function choose(image) {
  state.image = (image + images) % images;
  for (const easel of easels) easel.load(state.image);
  [...find("#gallery").children].forEach((item, i) => {
    item.firstChild.setAttribute("aria-pressed", i === state.image);
  });
  changed();
}

// Drawing, at most once a frame

let asked = false;
function draw() {
  if (!asked) requestAnimationFrame(drawNow);
  asked = true;
}

function drawNow() {
  asked = false;
  const {step} = state, t = step - 1;
  for (const easel of easels) easel.show(step, stretchBox.checked);
  const said = step > steps ? "refined" : `step ${step} of ${steps}`;
  stepSlider.value = step;
  stepSlider.setAttribute("aria-valuetext", said);
  find("#where").textContent = `Picture ${state.image}, ${said}`;
  find("#marker").style.translate = `${bars.left(step)}px`;
  const isStep = t >= 0 && t < steps;
  muteButton.disabled = !isStep;
  muteButton.textContent = isStep ? `Mute step ${step}` : "Mute step";
  muteButton.setAttribute("aria-pressed", Boolean(state.changes.get(t)?.muted));
  const easel = rated.find(({painter}) => t < painter.steps && painter.channels === channels) ?? rated[0];
  rateSliders.forEach((slider, c) => {
    slider.disabled = !isStep || t >= easel.painter.steps;
    const rate = slider.disabled ? 0 : meanRate(easel.painter, easel.rate, c, t);
    [slider.min, slider.max] = [Math.min(0, rate), Math.max(highest, rate)];
    slider.value = rate;
    slider.nextElementSibling.textContent = slider.disabled ? "–" : rate.toFixed(2);
  });
  playButton.textContent = playing ? "Pause" : "Play";
  if (!playing) keepLink();
}

let linkTimer = 0;
function keepLink() {
  clearTimeout(linkTimer);
  linkTimer = setTimeout(() => history.replaceState(null, "", `#${writeLink(state)}`), 250);
}

function followLink() {
  const limits = {images, steps, lastStep: steps + hasRefined, channels, rates};
  const found = readLink(location.hash.slice(1), limits);
  Object.assign(state, found);
  choose(state.image);
  look(1);
}

// Playing

let before = 0, due = 0, frame = 0;
function play(on) {
  playing = on;
  cancelAnimationFrame(frame);
  if (on) {
    if (state.step >= lastStep) goTo(0);
    before = due = 0;
    frame = requestAnimationFrame(tick);
  }
  draw();
}

function tick(now) {
  due += before ? (now - before) / 1000 : 0;
  before = now;
  const pace = 1 / find("#speed").value;
  if (state.step < lastStep) {
    const strokes = Math.floor(due / pace + .01);
    due -= strokes * pace;
    if (strokes) goTo(state.step + strokes);
  } else if (!loopBox.checked) {
    return play(false);
  } else if (due > HOLD) {
    due = 0;
    goTo(0);
  }
  frame = requestAnimationFrame(tick);
}

// Controls

const rated = easels.filter(({painter}) => isRated(painter));
const rateSliders = (rated.length ? colours : []).map((colour, c) => {
  const label = document.createElement("label");
  const slider = Object.assign(document.createElement("input"), {type: "range", min: 0, max: 1, step: .001});
  label.style.setProperty("--c", `var(--${colour})`);
  slider.setAttribute("aria-label", `${colour} rate of the step`);
  label.append(colour, slider, document.createElement("span"));
  find("#rates").append(label);
  slider.addEventListener("input", () => setRate(state.step - 1, c, +slider.value, true));
  slider.addEventListener("keydown", event => {
    const way = {ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1}[event.key];
    if (!way) return;
    event.preventDefault();
    setRate(state.step - 1, c, +slider.value + way * .05, event.shiftKey);
  });
  return slider;
});

stepSlider.max = steps + hasRefined;  // after changes, too, so that the bars stay where they are
stepSlider.addEventListener("input", () => goTo(+stepSlider.value));
playButton.addEventListener("click", () => play(!playing));
muteButton.addEventListener("click", () => toggleMute(state.step - 1));
find("#reset").addEventListener("click", reset);
stretchBox.addEventListener("change", draw);
for (const radio of document.querySelectorAll("[name=mode]")) {
  radio.addEventListener("change", () => setMode(radio.value));
}
// Where nothing is read, both are the same.
find("#modes").hidden = painters.every(({rule, reads}) => rule !== "oja" && !reads);
if (matchMedia("(prefers-reduced-motion: reduce)").matches) find("#speed").value = "2";

const KEYS = {
  ArrowLeft: () => goTo(state.step - 1),
  ArrowRight: () => goTo(state.step + 1),
  Home: () => goTo(0),
  End: () => goTo(lastStep),
  " ": () => play(!playing),
  m: () => { if (!muteButton.disabled) toggleMute(state.step - 1); },
  t: () => setMode(state.mode === "terms" ? "rule" : "terms"),
  r: reset,
  s: () => stretchBox.click(),
  l: () => loopBox.click(),
  "+": () => find("#closer").click(),
  "-": () => find("#farther").click(),
  z: () => sharpBox.click(),
  n: () => choose(state.image + 1),
  p: () => choose(state.image - 1),
};
addEventListener("keydown", event => {
  const act = /^\d$/.test(event.key) ? () => goTo(Math.round(event.key / 10 * steps)) : KEYS[event.key];
  const owners = event.key === " " ? "button, summary, select, [type=checkbox], [type=radio]"
    : event.key.length > 1 ? "select, [type=range], [type=radio]" : "select";
  if (!act || event.target.closest(owners) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});
addEventListener("hashchange", followLink);
addEventListener("resize", () => { bars.draw(state.changes); look(1); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);

// The gallery; a picture at a time, so that the page stays quick

function paintThumbnail(index) {
  if (index === images) return;
  const [painter] = painters, {width, height, channels} = painter;
  const sample = sampleAt(painter, unpackParts(painter, painter.samples[index]));
  const canvas = find("#gallery").children[index].firstChild.firstChild;
  const values = blank(painter), context = canvas.getContext("2d", {willReadFrequently: true});
  paintSteps(values, painter, sample, 0, painter.steps);
  const picture = {context, pixels: context.createImageData(width, height)};
  put(picture, values, channels, byteOf(painter));
  setTimeout(paintThumbnail, 0, index + 1);
}

for (let i = 0; i < images; i++) {
  const item = document.createElement("li"), button = document.createElement("button");
  const {width, height} = painters[0];
  button.append(Object.assign(document.createElement("canvas"), {width, height}));
  button.setAttribute("aria-label", `Picture ${i}`);
  button.addEventListener("click", () => choose(i));
  item.append(button);
  find("#gallery").append(item);
}

followLink();
requestAnimationFrame(() => setTimeout(paintThumbnail, 0, 0));
