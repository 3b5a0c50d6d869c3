// A picture of any size through a model of one size: overlapping tiles, blended; the same figures as edgegan run.
import {toPixels, toTensor} from "./pixels.js";

const OVERLAP = 0.25;
const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

export function starts(length, tile) {
  if (length <= tile) return [0];
  const step = Math.max(1, Math.trunc(tile * (1 - OVERLAP)));
  const count = Math.ceil((length - tile) / step) + 1;
  return Array.from({length: count}, (_, i) => {
    const place = i * (length - tile) / (count - 1), floor = Math.floor(place), rest = place - floor;
    return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
  });
}

export function ramp(length) {
  const edge = Math.max(1, Math.trunc(length * OVERLAP));
  return Float32Array.from({length}, (_, i) => Math.min(1, (Math.min(i, length - 1 - i) + 1) / edge));
}

function reflect(index, length) {
  if (length === 1) return 0;
  const place = index % (2 * (length - 1));
  return place < length ? place : 2 * (length - 1) - place;
}

function cut(image, left, top, width, height) {
  const out = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    const row = reflect(top + y, image.height) * image.width;
    for (let x = 0; x < width; x++) {
      const from = 4 * (row + reflect(left + x, image.width));
      for (let c = 0; c < 4; c++) out[4 * (y * width + x) + c] = image.data[from + c];
    }
  }
  return out;
}

/** Tiles `image` (ImageData) through `runner`; `progress(done, total)` returns false to stop. Returns {image, ms}. */
export async function tiled(runner, card, image, progress) {
  const {input, output} = card;
  const width = Math.max(image.width, input.width), height = Math.max(image.height, input.height);
  const tops = starts(height, input.height), lefts = starts(width, input.width);
  const rampX = ramp(input.width), rampY = ramp(input.height), channels = output.channels;
  const total = new Float32Array(width * input.height * channels);
  const weights = new Float32Array(width * input.height);
  const result = new ImageData(image.width, image.height);
  let ms = 0;
  for (let row = 0; row < tops.length; row++) {
    for (let column = 0; column < lefts.length; column++) {
      if (progress && !progress(row * lefts.length + column, tops.length * lefts.length)) throw new Error("stopped");
      await pause();
      const made = await runner.run(toTensor(cut(image, lefts[column], tops[row], input.width, input.height), input));
      ms += made.ms;
      for (let y = 0; y < input.height; y++) {
        for (let x = 0; x < input.width; x++) {
          const weight = Math.fround(rampY[y] * rampX[x]), place = y * width + lefts[column] + x;
          weights[place] += weight;
          for (let c = 0; c < channels; c++) {
            total[place * channels + c] += Math.fround(made.output[(y * input.width + x) * channels + c] * weight);
          }
        }
      }
    }
    const ready = row + 1 < tops.length ? tops[row + 1] - tops[row] : input.height;
    const line = new Float32Array(image.width * channels);
    for (let y = 0; y < Math.min(ready, image.height - tops[row]); y++) {
      for (let i = 0; i < line.length; i++) {
        line[i] = total[y * width * channels + i] / weights[y * width + Math.trunc(i / channels)];
      }
      toPixels(line, output, result.data, 4 * (tops[row] + y) * image.width);
    }
    total.copyWithin(0, ready * width * channels);
    total.fill(0, total.length - ready * width * channels);
    weights.copyWithin(0, ready * width);
    weights.fill(0, weights.length - ready * width);
  }
  return {image: result, ms};
}
