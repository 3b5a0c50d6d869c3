// The page: models and pictures are chosen here, results shown. The contract is models/index.json and model.json.
import {makeCamera} from "./camera.js";
import {describe, fetchBytes, fetchJson, readCard} from "./card.js";
import {centreCrop, psnr, resize, toPixels, toTensor} from "./pixels.js";
import {open, selfTest} from "./runner.js";
import {makeSlider} from "./slider.js";
import {sizeOf, tiled} from "./tiles.js";

const MAX_PIXELS = 12e6;
const MEDIAN_OF = 15;
const find = (id) => document.getElementById(id);
const slider = makeSlider(find("picture"), find("divider"), find("line"));
const camera = makeCamera();
const loaded = new Map();
let cards = [], picture, result, work = Promise.resolve(), order = 0;

function problem(error) {
  find("problem").hidden = !error;
  find("problem").textContent = error ? error.message ?? String(error) : "";
  if (error) document.documentElement.dataset.state = "problem";
}

function status(text) {
  find("status").textContent = text;
}

/** Decodes a picture onto white; larger ones than 12 megapixels are scaled down. */
async function decode(source, name) {
  let bitmap;
  try {
    if (source.size === 0) throw new Error("no bytes");
    bitmap = await createImageBitmap(source, {colorSpaceConversion: "none"});
  } catch {
    throw new Error(`${name} is empty, damaged or not a picture; choose another`);
  }
  const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
  const canvas = new OffscreenCanvas(Math.max(1, Math.floor(bitmap.width * scale)), Math.max(1, Math.floor(bitmap.height * scale)));
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  if (scale < 1) status(`${name} was scaled to ${canvas.width}x${canvas.height}`);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

const decodeFile = async (path) => decode(new Blob([await fetchBytes(path)]), path);

/** The chosen card's runner; at most the chosen model and the one it is compared with stay loaded. */
async function runnerOf(card) {
  for (const [id, entry] of loaded) {
    if (id !== find("model").value && id !== find("other").value) {
      entry.runner.close();
      loaded.delete(id);
    }
  }
  if (!loaded.has(card.id)) {
    status(`loading ${card.title}`);
    const runner = await open(card);
    await runner.run(new Float32Array(card.input.count));
    loaded.set(card.id, {runner, times: []});
  }
  return loaded.get(card.id);
}

async function apply(card, image, fit, mine) {
  const {input, output} = card, whole = fit === "cropped" ? output : sizeOf(card, image);
  const entry = await runnerOf(card);
  let before = image, after, ms;
  if (fit === "tiled") {
    const progress = (done, total) => {
      if (total > 1) status(`tile ${done + 1} of ${total}`);
      return mine === order;
    };
    ({image: after, ms} = await tiled(entry.runner, card, image, progress));
  } else {
    before = fit === "cropped" ? centreCrop(image, input.width, input.height) : image;
    const small = resize(before, input.width, input.height);
    const made = await entry.runner.run(toTensor(small.data, input));
    ms = made.ms;
    after = new ImageData(output.width, output.height);
    toPixels(made.output, output, after.data);
    if (fit === "cropped") before = small;
    else after = resize(after, whole.width, whole.height);
  }
  entry.times = [...entry.times, ms].slice(-MEDIAN_OF);
  const median = [...entry.times].sort((a, b) => a - b)[entry.times.length >> 1];
  return {before, after, ms, median};
}

function showFigures(rows, difference) {
  const body = find("figures").tBodies[0];
  body.replaceChildren();
  for (const {card, made} of rows) {
    const cells = [card.title, `${made.ms.toFixed(1)} ms`, `median ${made.median.toFixed(1)} ms`,
      `${(card.bytes / 1e6).toFixed(2)} MB`, `${(card.macs / 1e9).toFixed(2)} GMACs`];
    const row = body.insertRow();
    cells.forEach((text) => { row.insertCell().textContent = text; });
  }
  if (difference !== undefined) {
    const cell = body.insertRow().insertCell();
    cell.colSpan = 5;
    cell.textContent = `PSNR between them: ${Number.isFinite(difference) ? `${difference.toFixed(2)} dB` : "equal"}`;
  }
}

/** Runs the chosen models on the picture, one job after another; a newer job stops an older one. */
function translate(live = false) {
  const mine = live ? order : ++order;
  work = work.then(async () => {
    if (mine !== order || !picture) return;
    document.documentElement.dataset.state = "busy";
    try {
      const began = performance.now();
      const fit = live ? "cropped" : find("fit").value;
      const card = cards.find((c) => c.id === find("model").value);
      const other = cards.find((c) => c.id === find("other").value);
      const made = await apply(card, picture, fit, mine);
      const rows = [{card, made}];
      let left = made.before, difference;
      if (other) {
        const second = await apply(other, picture, fit, mine);
        if (second.after.width !== made.after.width || second.after.height !== made.after.height) {
          second.after = resize(second.after, made.after.width, made.after.height);
        }
        rows.push({card: other, made: second});
        left = second.after;
        difference = psnr(made.after, second.after);
      }
      result = made.after;
      slider.show(left, made.after);
      find("left-label").textContent = other ? other.title : "before";
      find("right-label").textContent = other ? card.title : "after";
      find("about").textContent = describe(card);
      find("save").disabled = false;
      showFigures(rows, difference);
      status(`${result.width}x${result.height}, ${(performance.now() - began).toFixed(0)} ms in all`);
      problem();
      document.documentElement.dataset.state = "ready";
    } catch (error) {
      if (error.message !== "stopped") {
        status("");
        problem(error);
        stopCamera();
      }
    }
  });
  return work;
}

async function choose(source, name) {
  stopCamera();
  try {
    picture = await decode(source, name);
  } catch (error) {
    problem(error);
    return;
  }
  await translate();
}

async function startCamera() {
  order++;
  find("flip").hidden = false;
  find("camera").textContent = "Stop camera";
  try {
    await camera.start(async (frame) => {
      picture = frame;
      await translate(true);
    });
  } catch (error) {
    stopCamera();
    problem(error);
  }
}

function stopCamera() {
  camera.stop();
  find("flip").hidden = true;
  find("camera").textContent = "Camera";
}

async function testAll() {
  const body = find("results").tBodies[0];
  body.replaceChildren();
  find("test").disabled = true;
  for (const card of cards) {
    const {passed, message, mean, largest} = await selfTest(card, decodeFile);
    const row = body.insertRow();
    Object.assign(row.dataset, {model: card.id, passed, mean, largest});
    row.insertCell().textContent = card.title;
    const verdict = row.insertCell();
    verdict.textContent = passed ? "PASS" : "FAIL";
    verdict.className = passed ? "pass" : "fail";
    row.insertCell().textContent = message;
  }
  find("test").disabled = false;
}

async function keepOffline() {
  const workers = navigator.serviceWorker;
  if (!workers) {
    find("offline").textContent = "online only (offline use needs https or localhost)";
    return;
  }
  await workers.register("worker.js");
  await workers.ready;
  if (!workers.controller) {
    await new Promise((resolve) => {
      workers.addEventListener("controllerchange", resolve, {once: true});
      setTimeout(resolve, 5000);
    });
  }
  find("offline").textContent = "kept for offline use";
}

async function main() {
  await keepOffline().catch((error) => { find("offline").textContent = `online only (${error.message})`; });
  const index = await fetchJson("models/index.json");
  const failures = [];
  for (const id of index.models) {
    try {
      cards.push(await readCard(id));
    } catch (error) {
      failures.push(error.message);
    }
  }
  if (!cards.length) throw new Error(failures.join("; ") || "no models here; bundle one with: edgegan bundle RUN --target web");
  for (const card of cards) find("model").add(new Option(card.title, card.id));
  find("other").add(new Option("the original picture", ""));
  for (const card of cards) find("other").add(new Option(card.title, card.id));
  for (const path of index.samples) {
    const button = document.createElement("button");
    button.type = "button";
    const image = Object.assign(new Image(), {src: path, alt: path.replace(/^.*\//, "")});
    button.append(image);
    button.addEventListener("click", async () => choose(new Blob([await fetchBytes(path)]), image.alt));
    find("samples").append(button);
  }
  find("camera").addEventListener("click", () => (camera.active() ? stopCamera() : startCamera()));
  find("flip").addEventListener("click", () => { camera.flip(); startCamera(); });
  find("file").addEventListener("change", ({target}) => { if (target.files[0]) choose(target.files[0], target.files[0].name); });
  for (const id of ["model", "other", "fit"]) find(id).addEventListener("change", () => { if (!camera.active()) translate(); });
  find("test").addEventListener("click", testAll);
  find("save").addEventListener("click", () => {
    const canvas = new OffscreenCanvas(result.width, result.height);
    canvas.getContext("2d").putImageData(result, 0, 0);
    canvas.convertToBlob({type: "image/png"}).then((blob) => {
      const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: "edgegan.png"});
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  });
  if (failures.length) problem(new Error(failures.join("; ")));
  if (index.samples.length) {
    picture = await decodeFile(index.samples[0]);
    await translate();
  } else {
    status("open a picture or the camera");
    document.documentElement.dataset.state = "ready";
  }
  if (failures.length) problem(new Error(failures.join("; ")));
}

main().catch(problem);
