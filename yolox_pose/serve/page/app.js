"use strict";
// The server finds everything above a low score once; the sliders only choose what is drawn.

const PALETTE = ["#ffd700", "#ba55d3", "#40e0d0", "#ff69b4", "#bee557", "#faceeb", "#f05050", "#9acd32"];
const CASING = "rgba(30, 30, 30, 0.85)";

const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const pen = canvas.getContext("2d");
let model = null;
let picture = null;
let result = null;

function say(text, isError = false) {
  $("status").textContent = text;
  $("status").className = isError ? "error" : "";
}

async function load(file) {
  if (!model.types.includes(file.type)) {
    return say(`'${file.name}' is no JPEG, PNG or WebP image.`, true);
  }
  if (file.size > model.limits.bytes) {
    return say(`'${file.name}' is larger than ${model.limits.bytes / 1e6} MB.`, true);
  }
  say(`Looking at ${file.name} ...`);
  try {
    const answer = await fetch("/api/poses", { method: "POST", headers: { "Content-Type": file.type }, body: file });
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    picture = await decode(file);
    result = content;
    draw();
  } catch (error) {
    say(error.message, true);
  }
}

function decode(file) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    const url = URL.createObjectURL(file);
    image.onload = () => { URL.revokeObjectURL(url); resolve(image); };
    image.onerror = () => { URL.revokeObjectURL(url); reject(new Error("the browser cannot show this image")); };
    image.src = url;
  });
}

function draw() {
  for (const output of document.querySelectorAll("output")) {
    output.textContent = Number($(output.htmlFor.value).value).toFixed(2);
  }
  if (!result) return;
  const threshold = Number($("score").value);
  const shown = result.persons.map((person, index) => ({ ...person, color: PALETTE[index % PALETTE.length] }))
    .filter((person) => person.score >= threshold);
  canvas.width = result.width;
  canvas.height = result.height;
  pen.fillStyle = "#202020";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if ($("image").checked) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const size = (person) => (person.box[2] - person.box[0]) * (person.box[3] - person.box[1]);
  shown.sort((a, b) => size(a) - size(b));  // near people lie above far ones
  for (const person of shown) drawPerson(person);
  $("save").disabled = false;
  const what = model.keypoints.length ? "people" : "objects";
  say(`${shown.length} of ${result.persons.length} ${what} shown; ${result.width} x ${result.height} pixels, ${result.seconds} s`);
}

function drawPerson(person) {
  const [x1, y1, x2, y2] = person.box;
  const unit = Math.max(1, Math.sqrt((x2 - x1) * (y2 - y1)) / 60) * Number($("width").value);
  const threshold = Number($("keypoint").value);
  const seen = (k) => person.keypoints[k][2] >= threshold && person.keypoints[k][2] > 0;
  pen.lineCap = "round";
  model.links.forEach(([a, b], i) => {
    if (!seen(a) || !seen(b)) return;
    for (const [color, width] of [[CASING, 2.2 * unit], [model.link_colors[i], 1.3 * unit]]) {
      pen.globalAlpha = Math.min(person.keypoints[a][2], person.keypoints[b][2]);
      line(person.keypoints[a], person.keypoints[b], color, width);
    }
  });
  person.keypoints.forEach((point, k) => {
    if (!seen(k)) return;
    pen.globalAlpha = point[2];
    disc(point, 1.6 * unit, CASING);
    disc(point, 1.1 * unit, model.keypoint_colors[k]);
  });
  pen.globalAlpha = 1;
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

function save() {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "poses.png";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

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
  listen();
  draw();
}

start().catch((error) => say(error.message, true));
