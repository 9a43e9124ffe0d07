"use strict";
// The server sends all persons above a low score once. The sliders select which of them are drawn.
// Results, thresholds (score_thr, kpt_thr) and the model are described by yolox_pose/serve/server.py.

const PALETTE = ["#ffd700", "#ba55d3", "#40e0d0", "#ff69b4", "#bee557", "#faceeb", "#f05050", "#9acd32"];
const CASING = "rgba(30, 30, 30, 0.85)";

const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const pen = canvas.getContext("2d");
let model = null;
let picture = null;
let result = null;

function showStatus(text, isError = false) {
  $("status").textContent = text;
  $("status").className = isError ? "error" : "";
}

// Upload an image file and draw its poses.
async function load(file) {
  if (!model.types.includes(file.type)) {
    return showStatus(`'${file.name}' is no JPEG, PNG or WebP image.`, true);
  }
  if (file.size > model.limits.bytes) {
    return showStatus(`'${file.name}' is larger than ${model.limits.bytes / 1e6} MB.`, true);
  }
  showStatus(`Detecting poses in ${file.name} ...`);
  try {
    const response = await fetch("/api/poses", { method: "POST", headers: { "Content-Type": file.type }, body: file });
    const content = await response.json();
    if (!response.ok) throw new Error(content.error);
    picture = await decode(file);
    result = content;
    draw();
  } catch (error) {
    showStatus(error.message, true);
  }
}

// Decode an image file in the browser.
function decode(file) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    const url = URL.createObjectURL(file);
    image.onload = () => { URL.revokeObjectURL(url); resolve(image); };
    image.onerror = () => { URL.revokeObjectURL(url); reject(new Error("the browser cannot show this image")); };
    image.src = url;
  });
}

// Draw the result with the current settings.
function draw() {
  // Show the values of the sliders
  for (const output of document.querySelectorAll("output")) {
    output.textContent = Number($(output.htmlFor.value).value).toFixed(2);
  }
  if (!result) return;

  // Select the persons; a person keeps its color
  const scoreThr = Number($("score_thr").value);
  const shown = result.persons.map((person, index) => ({ ...person, color: PALETTE[index % PALETTE.length] }))
    .filter((person) => person.score >= scoreThr);

  // Draw the image, then small persons before large ones, so that near persons lie above far ones
  canvas.width = result.width;
  canvas.height = result.height;
  pen.fillStyle = "#202020";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if ($("image").checked) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const size = (person) => (person.box[2] - person.box[0]) * (person.box[3] - person.box[1]);
  shown.sort((a, b) => size(a) - size(b));
  for (const person of shown) drawPerson(person);

  // Report the numbers
  $("save").disabled = false;
  const kind = model.keypoints.length ? "people" : "objects";
  showStatus(`${shown.length} of ${result.persons.length} ${kind} shown; ${result.width} x ${result.height} pixels, ${result.seconds} s`);
}

// Draw the skeleton, the box and the tag of a person.
function drawPerson(person) {
  const [x1, y1, x2, y2] = person.box;
  const unit = Math.max(1, Math.sqrt((x2 - x1) * (y2 - y1)) / 60) * Number($("width").value);
  const kptThr = Number($("kpt_thr").value);
  const isShown = (k) => person.keypoints[k][2] >= kptThr && person.keypoints[k][2] > 0;

  // Draw limbs, then keypoints over them; the score is the opacity
  pen.lineCap = "round";
  model.links.forEach(([a, b], i) => {
    if (!isShown(a) || !isShown(b)) return;
    for (const [color, width] of [[CASING, 2.2 * unit], [model.link_colors[i], 1.3 * unit]]) {
      pen.globalAlpha = Math.min(person.keypoints[a][2], person.keypoints[b][2]);
      line(person.keypoints[a], person.keypoints[b], color, width);
    }
  });
  person.keypoints.forEach((point, k) => {
    if (!isShown(k)) return;
    pen.globalAlpha = point[2];
    disc(point, 1.6 * unit, CASING);
    disc(point, 1.1 * unit, model.keypoint_colors[k]);
  });
  pen.globalAlpha = 1;

  // Draw the box and its tag
  if (!$("boxes").checked) return;
  pen.strokeStyle = person.color;
  pen.lineWidth = Math.max(1, 0.6 * unit);
  pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  const height = Math.max(11, 5 * unit);
  const name = model.classes.length > 1 ? `${model.classes[person.label]} ` : "";
  const text = name + person.score.toFixed(2);
  pen.font = `${height}px system-ui, sans-serif`;
  pen.fillStyle = person.color;
  pen.fillRect(x1, y1, pen.measureText(text).width + 4, height + 3);
  pen.fillStyle = "#000";
  pen.fillText(text, x1 + 2, y1 + height);
}

function line(from, to, color, width) {
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(from[0], from[1]);
  pen.lineTo(to[0], to[1]);
  pen.stroke();
}

function disc(point, radius, color) {
  pen.fillStyle = color;
  pen.beginPath();
  pen.arc(point[0], point[1], radius, 0, 2 * Math.PI);
  pen.fill();
}

// Download the canvas as a PNG file.
function save() {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "poses.png";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

// Connect the controls, and accept files that are chosen, dropped or pasted.
function listen() {
  $("controls").addEventListener("input", draw);
  $("save").addEventListener("click", save);
  $("file").addEventListener("change", () => { if ($("file").files.length) load($("file").files[0]); });
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
  addEventListener("dragleave", () => document.body.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    if (event.dataTransfer.files.length) load(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => { if (event.clipboardData.files.length) load(event.clipboardData.files[0]); });
}

async function start() {
  model = await (await fetch("/api/model")).json();
  $("score_thr").min = model.score_thr;  // the server sends no persons below
  listen();
  draw();
}

start().catch((error) => showStatus(error.message, true));
