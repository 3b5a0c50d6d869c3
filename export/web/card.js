// What model.json must say for this page to run a model, and files that are checked against it.
import {sha256} from "./sha256.js";

const CHANNELS = {rgb: 3, bgr: 3, grey: 1};

/** Fetches bytes; raises an Error that names the file. */
export async function fetchBytes(path) {
  let answer;
  try {
    answer = await fetch(path);
  } catch (error) {
    throw new Error(`${path} cannot be fetched (${error.message}); is the web server still running?`);
  }
  if (!answer.ok) throw new Error(`${path} is missing (status ${answer.status}); bundle the model again`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Parses a JSON file; raises an Error that names it. */
export async function fetchJson(path) {
  const text = new TextDecoder().decode(await fetchBytes(path));
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is not readable JSON (${error.message}); bundle the model again`);
  }
}

function checkTensor(tensors, side) {
  if (!Array.isArray(tensors) || tensors.length !== 1) throw new Error(`${side} must be one tensor`);
  const tensor = tensors[0];
  for (const [key, wanted] of [["layout", "NHWC"], ["dtype", "float32"], ["kind", "image"], ["resize", "bilinear-half-pixel"]]) {
    if ((tensor[key] ?? (key === "kind" || key === "resize" ? wanted : undefined)) !== wanted) {
      throw new Error(`${side}.0.${key} is "${tensor[key]}"; this page reads "${wanted}" only`);
    }
  }
  const shape = tensor.shape;
  if (!Array.isArray(shape) || shape.length !== 4 || shape[0] !== 1 || shape.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new Error(`${side}.0.shape is not one picture`);
  }
  if (CHANNELS[tensor.colour] !== shape[3]) throw new Error(`${side}.0.colour is "${tensor.colour}" with ${shape[3]} channels`);
  if (!Array.isArray(tensor.range) || !(tensor.range[1] > tensor.range[0])) throw new Error(`${side}.0.range must go up`);
  return {height: shape[1], width: shape[2], channels: shape[3], colour: tensor.colour,
    low: Math.fround(tensor.range[0]), high: Math.fround(tensor.range[1]), shape, count: shape[1] * shape[2] * shape[3]};
}

/** Sides of a model's output to those of its input as a reduced fraction [numerator, denominator]; without a field 1. */
function checkRatio(enlarges, input, output) {
  const ratio = enlarges ?? [1, 1];
  if (!Array.isArray(ratio) || ratio.length !== 2 || ratio.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new Error("enlarges is not a fraction of two whole numbers");
  }
  let [divisor, rest] = ratio;
  while (rest) [divisor, rest] = [rest, divisor % rest];
  const reduced = ratio.map((n) => n / divisor);
  if (output.height !== enlarged(input.height, reduced) || output.width !== enlarged(input.width, reduced)) {
    throw new Error(`outputs.0.shape is ${output.width}x${output.height} of ${input.width}x${input.height}, `
      + `but enlarges is ${ratio.join("/")}`);
  }
  return reduced;
}

/** A side of what a model with this ratio makes of a picture with this side. */
export function enlarged(side, [numerator, denominator]) {
  return Math.ceil(side * numerator / denominator);
}

/** A model's card with `input` and `output` ready for pixels.js and `ratio` for tiles.js; raises an Error naming file and key. */
export async function readCard(id) {
  const path = `models/${id}/model.json`;
  const card = await fetchJson(path);
  try {
    if (card.schema_version !== 1) throw new Error(`schema_version is ${card.schema_version}; this page reads 1`);
    if (card.target !== "tflite") throw new Error(`target is "${card.target}"; this page runs tflite`);
    for (const key of ["title", "file", "bytes", "sha256", "macs", "parameters", "golden", "licence"]) {
      if (card[key] === undefined || card[key] === null) throw new Error(`${key} is missing`);
    }
    card.input = checkTensor(card.inputs, "inputs");
    card.output = checkTensor(card.outputs, "outputs");
    card.ratio = checkRatio(card.enlarges, card.input, card.output);
  } catch (error) {
    throw new Error(`${path}: ${error.message}. Bundle the model again`);
  }
  return card;
}

async function checked(path, bytes, hash) {
  const data = await fetchBytes(path);
  if (data.length !== bytes) {
    throw new Error(`${path} has ${data.length} bytes, model.json says ${bytes}: it is cut off or another model`);
  }
  if (sha256(data) !== hash) throw new Error(`${path} is damaged (its sha256 is not the one in model.json)`);
  return data;
}

/** The model's bytes, size and sha256 checked. */
export function modelBytes(card) {
  return checked(`models/${card.id}/${card.file}`, card.bytes, card.sha256);
}

/** Golden input and output as Float32Array, hashes checked. */
export async function goldenTensors(card) {
  const golden = card.golden;
  const read = async (name, tensor, hash) =>
    new Float32Array((await checked(`models/${card.id}/${name}`, 4 * tensor.count, hash)).buffer);
  return [await read(golden.input, card.input, golden.input_sha256),
    await read(golden.output, card.output, golden.output_sha256)];
}

/** The card in a few lines. */
export function describe(card) {
  const teacher = card.psnr_to_teacher_db ? `\nPSNR to the teacher: ${card.psnr_to_teacher_db.toFixed(2)} dB` : "";
  const {input, output} = card;
  const same = output.width === input.width && output.height === input.height;
  const makes = same ? "" : ` to ${output.width}x${output.height}`;
  return `${card.title}\n${card.family}, ${card.role}, ${card.precision} (${card.quantization})\n`
    + `${input.width}x${input.height}${makes}, ${(card.bytes / 1e6).toFixed(2)} MB, `
    + `${(card.macs / 1e9).toFixed(2)} GMACs, ${card.parameters.toLocaleString("en")} parameters\n`
    + `PSNR to PyTorch: ${card.parity.psnr_db.toFixed(1)} dB${teacher}\nLicence: ${card.licence}\nsha256: ${card.sha256}`;
}
