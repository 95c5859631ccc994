// The live page: every picture is drawn together with the outline that came in the same message.
// Fails closed: without a fresh message there is no outline.

const STALE_MS = 250;
const RETRY_MS = 200;
const AMBER = "#ffbf00";
const VIOLET = "#dc8cff";
const POINTS = ["careful", "balanced", "searching"];
const JUDGED = ["tear outlined", "unsure", "no tear outlined"]; // the states of a picture that was looked at

const at = (id) => document.getElementById(id);
const canvas = at("canvas");
const pen = canvas.getContext("2d", { alpha: false });

let socket = null;
let said = { state: "no result", note: "waiting for the first frame" }; // by the newest frame or status
let shown = null; // { bitmap, header, arrived }: what is on the canvas
let ticket = 0; // of the newest frame message
let voided = 0; // frames up to this ticket came before a status that ended the outline
let outlineOn = true;
let sectorOnly = true;
let asked = null; // { point, at }: a point that was asked for and that no result has shown yet
let drawn = ""; // what the canvas shows, to draw again only on a change

// ---- what may be said now ----

function verdict(now) {
  if (!socket || socket.readyState !== WebSocket.OPEN) {
    return { state: "no result", note: "viewer not reachable, reconnecting", live: false };
  }
  const live = shown !== null && now - shown.arrived <= STALE_MS;
  if (JUDGED.includes(said.state) && !live) {
    return { state: "stale", note: "no new picture comes", live };
  }
  return { ...said, live: live && said.state !== "stale" };
}

function put(id, text) {
  const element = at(id);
  if (element.textContent !== text) element.textContent = text;
}

function tell(now) {
  const { state, note, live } = verdict(now);
  if (document.body.dataset.state !== state) document.body.dataset.state = state;
  document.body.dataset.live = live ? "yes" : "no";
  put("words", state);
  put("note", note);
  const age = shown && !live ? ageInWords(now - shown.arrived + (shown.header.latency_ms ?? 0)) : "";
  put("age", age && `This picture is ${age} old`);
  put("banner", banner(state, note, age));
  const confidence = state === "tear outlined" ? shown?.header.confidence : null;
  put("confidence", confidence == null ? "–" : confidence.toFixed(2));
  tellPoint(now);
  paint(state, live);
}

// The point of the picture on display: that of its result, whoever asked for it.
function tellPoint(now) {
  const { point, points } = shown?.header ?? {};
  if (asked && (asked.point === point || now - asked.at > 2000)) asked = null;
  for (const button of at("points").querySelectorAll("button")) {
    const is = button.dataset.point;
    set(button, "aria-pressed", is === point);
    set(button, "aria-busy", is === asked?.point);
    button.disabled = points === "own";
  }
  put("point-note", points === "own" ? "; fixed here by --threshold"
    : points === "one" ? "; this model has one under all three names" : "");
}

function set(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function ask(point) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  asked = { point, at: performance.now() };
  socket.send(`point ${point}`);
  tell(performance.now());
}

function nextPoint() {
  if (shown?.header.points === "own") return;
  const from = asked?.point ?? shown?.header.point ?? "balanced";
  ask(POINTS[(POINTS.indexOf(from) + 1) % POINTS.length]);
}

// What is to be said of the dashed lines, where there are any.
function remark(header) {
  const words = header.unsure?.length ? "dashed: may be a tear" : "";
  const said = header.state === "unsure" || header.state === "tear outlined" ? words : header.note ?? "";
  return header.sector_sure === false ? [said, "sector not sure"].filter(Boolean).join("; ") : said;
}

function banner(state, note, age) {
  if (state === "stale") return `Stale: this picture is ${age || "too"} old`;
  if (state === "no result") return `No result: ${note || "no reason given"}`;
  return (state === "tear outlined" || state === "unsure") && !outlineOn ? "Outline hidden: press o" : "";
}

function ageInWords(ms) {
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60000)} min ${Math.floor((ms % 60000) / 1000)} s`;
}

// ---- the canvas ----

function paint(state, live, force = false) {
  const outlined = outlineOn && live && (state === "tear outlined" || state === "unsure") && shown?.header.state === state;
  const wanted = `${outlined} ${live} ${sectorOnly}`;
  const resized = fitCanvas();
  if (!force && !resized && wanted === drawn) return;
  drawn = wanted;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (!shown) return;
  const { bitmap, header } = shown;
  const [x, y, width, height] = (sectorOnly && header.sector) || [0, 0, bitmap.width, bitmap.height];
  const scale = Math.min(canvas.width / width, canvas.height / height);
  const left = (canvas.width - width * scale) / 2;
  const top = (canvas.height - height * scale) / 2;
  pen.globalAlpha = live ? 1 : 0.4;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, x, y, width, height, left, top, width * scale, height * scale);
  pen.globalAlpha = 1;
  if (outlined) {
    const ratio = window.devicePixelRatio || 1;
    stroke(header.outlines, scale, left - x * scale, top - y * scale, AMBER, []);
    stroke(header.unsure, scale, left - x * scale, top - y * scale, VIOLET, [7 * ratio, 5 * ratio]);
  }
  if (header.mm_per_pixel) ruler(header.mm_per_pixel[1], scale, left + width * scale, top + height * scale);
}

function fitCanvas() {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width === width && canvas.height === height) return false;
  canvas.width = width;
  canvas.height = height;
  return true;
}

// Corners are pixel centres of the frame: hence the half pixel.
function stroke(outlines, scale, left, top, colour, dash) {
  const ratio = window.devicePixelRatio || 1;
  const path = new Path2D();
  for (const corners of outlines ?? []) {
    for (let i = 0; i < corners.length; i += 2) {
      const [x, y] = [left + (corners[i] + 0.5) * scale, top + (corners[i + 1] + 0.5) * scale];
      if (i === 0) path.moveTo(x, y);
      else path.lineTo(x, y);
    }
    path.closePath();
  }
  pen.lineJoin = "round";
  pen.setLineDash(dash);
  pen.lineWidth = 3 * ratio;
  pen.strokeStyle = "#0009";
  pen.stroke(path);
  pen.lineWidth = 1.5 * ratio;
  pen.strokeStyle = colour;
  pen.stroke(path);
  pen.setLineDash([]);
}

function ruler(mmPerColumn, scale, right, bottom) {
  const ratio = window.devicePixelRatio || 1;
  const length = (10 / mmPerColumn) * scale;
  const [x, y] = [right - 16 * ratio, bottom - 14 * ratio];
  pen.lineWidth = 2 * ratio;
  pen.strokeStyle = pen.fillStyle = "#c8d0d8";
  pen.beginPath();
  pen.moveTo(x - length, y - 5 * ratio);
  pen.lineTo(x - length, y);
  pen.lineTo(x, y);
  pen.lineTo(x, y - 5 * ratio);
  pen.stroke();
  pen.font = `${14 * ratio}px system-ui, sans-serif`;
  pen.textAlign = "right";
  pen.fillText("10 mm", x, y - 9 * ratio);
}

// ---- messages ----

function take(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const jpeg = new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" });
  return { header, jpeg };
}

async function onFrame(from, buffer) {
  const arrived = performance.now();
  const mine = ++ticket;
  const { header, jpeg } = take(buffer);
  let bitmap = null;
  try {
    bitmap = await createImageBitmap(jpeg);
  } catch {
    if (mine > voided) said = { state: "no result", note: "a picture could not be decoded" };
  }
  requestAnimationFrame(() => {
    if (from !== socket || mine !== ticket || mine <= voided || !bitmap) bitmap?.close();
    else show({ bitmap, header, arrived });
    if (from.readyState === WebSocket.OPEN) from.send("next");
  });
}

function show(frame) {
  shown?.bitmap.close();
  shown = frame;
  said = { state: frame.header.state, note: remark(frame.header) };
  drawn = "";
  tell(performance.now());
  document.body.dataset.seq = frame.header.seq;
  const { latency_ms: ms, uncertainty_ms: uncertain } = frame.header;
  put("ms", ms === undefined ? "–" : ms < 100 ? ms.toFixed(1) : ms.toFixed(0));
  put("uncertainty", uncertain > 0.5 ? `± ${uncertain.toFixed(1)}` : "");
  numbers(frame.header);
}

function onStatus(header) {
  if (header.state === "no result" || header.state === "stale") {
    voided = ticket;
    said = { state: header.state, note: header.note ?? "" };
    tell(performance.now());
  }
  numbers(header);
}

function numbers(header) {
  const words = {
    fps: (value) => value.toFixed(1),
    inference_ms: (value) => `${value.toFixed(1)} ms`,
    captured: String, shown: String, source: String, engine: String,
  };
  for (const [key, inWords] of Object.entries(words)) {
    if (header[key] != null && header[key] !== "") put(key.replace("_ms", ""), inWords(header[key]));
  }
  at("source").title = at("source").textContent; // it may be too long for its line
  if (header.dropped) drops(header.dropped);
}

function drops(byCause) {
  const causes = Object.entries(byCause).filter(([, count]) => count > 0);
  put("dropped", String(causes.reduce((sum, [, count]) => sum + count, 0)));
  at("causes").replaceChildren(...causes.map(([cause, count]) => {
    const [row, name, value] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    name.textContent = cause;
    value.textContent = count;
    row.append(name, value);
    return row;
  }));
}

// ---- the socket ----

// Ask by fetch first: browsers make a page wait for seconds after many failed websockets.
async function connect() {
  try {
    await fetch("/", { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(1000) });
  } catch {
    setTimeout(connect, RETRY_MS);
    return;
  }
  const mine = new WebSocket(`ws://${location.host}/live`);
  mine.binaryType = "arraybuffer";
  socket = mine;
  mine.onopen = () => {
    voided = ticket;
    said = { state: "no result", note: "waiting for the next frame" };
    mine.send("next");
  };
  mine.onmessage = ({ data }) => (typeof data === "string" ? onStatus(JSON.parse(data)) : onFrame(mine, data));
  mine.onclose = () => {
    tell(performance.now());
    setTimeout(connect, RETRY_MS);
  };
}

function toggleOutline() {
  outlineOn = !outlineOn;
  at("toggle").setAttribute("aria-pressed", outlineOn);
  at("toggle").querySelector("b").textContent = outlineOn ? "on" : "off";
  tell(performance.now());
}

function toggleZoom() {
  sectorOnly = !sectorOnly;
  at("zoom").setAttribute("aria-pressed", sectorOnly);
  at("zoom").querySelector("b").textContent = sectorOnly ? "sector" : "whole";
  tell(performance.now());
}

at("toggle").onclick = toggleOutline;
at("zoom").onclick = toggleZoom;
for (const button of at("points").querySelectorAll("button")) button.onclick = () => ask(button.dataset.point);
addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey, repeat }) => {
  if (ctrlKey || metaKey || altKey || repeat) return;
  if (key.toLowerCase() === "o") toggleOutline();
  if (key.toLowerCase() === "z") toggleZoom();
  if (key.toLowerCase() === "p") nextPoint();
});
addEventListener("resize", () => tell(performance.now()));
setInterval(() => tell(performance.now()), 50);
connect();
