// A picture of any size through a model of one size: overlapping tiles, blended; the same figures as edgegan run.
import {enlarged} from "./card.js";
import {toPixels, toTensor} from "./pixels.js";

const OVERLAP = 0.25;
const MOST_PIXELS = 16e6;
const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

/** Where tiles begin along a side, at multiples of `multiple`. */
export function starts(length, tile, multiple) {
  if (length <= tile) return [0];
  const step = Math.max(1, Math.trunc(tile * (1 - OVERLAP)));
  const count = Math.ceil((length - tile) / step) + 1;
  return Array.from({length: count}, (_, i) => {
    const place = i * (length - tile) / (count - 1), floor = Math.floor(place), rest = place - floor;
    const start = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
    return (i + 1 < count ? Math.floor(start / multiple) : Math.ceil(start / multiple)) * multiple;
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

/** A tile; what lies beyond the picture's right and bottom is the tile's own inside, reflected. */
function cut(image, left, top, width, height) {
  const out = new Uint8ClampedArray(4 * width * height);
  const wide = Math.min(width, image.width - left), high = Math.min(height, image.height - top);
  for (let y = 0; y < height; y++) {
    const row = (top + reflect(y, high)) * image.width + left;
    for (let x = 0; x < width; x++) {
      const from = 4 * (row + reflect(x, wide));
      for (let c = 0; c < 4; c++) out[4 * (y * width + x) + c] = image.data[from + c];
    }
  }
  return out;
}

/** Width and height of what a card's model makes of `image`; raises an Error where it enlarges beyond 16 megapixels. */
export function sizeOf(card, image) {
  const width = enlarged(image.width, card.ratio), height = enlarged(image.height, card.ratio);
  if (card.ratio[0] > card.ratio[1] && width * height > MOST_PIXELS) {
    throw new Error(`a picture of ${image.width}x${image.height} becomes one of ${width}x${height}, `
      + `more than ${MOST_PIXELS.toLocaleString("en")} pixels; choose a smaller one`);
  }
  return {width, height};
}

/** Tiles `image` (ImageData) through `runner`; `progress(done, total)` returns false to stop. Returns {image, ms}. */
export async function tiled(runner, card, image, progress) {
  const {input, output, ratio} = card, channels = output.channels;
  const {width, height} = sizeOf(card, image);
  const tops = starts(image.height, input.height, ratio[1]), lefts = starts(image.width, input.width, ratio[1]);
  const rampX = ramp(output.width), rampY = ramp(output.height);
  const total = new Float32Array(width * output.height * channels);
  const weights = new Float32Array(width * output.height);
  const result = new ImageData(width, height);
  let ms = 0;
  for (let row = 0; row < tops.length; row++) {
    const top = enlarged(tops[row], ratio), tall = Math.min(output.height, height - top);
    for (let column = 0; column < lefts.length; column++) {
      if (progress && !progress(row * lefts.length + column, tops.length * lefts.length)) throw new Error("stopped");
      await pause();
      const made = await runner.run(toTensor(cut(image, lefts[column], tops[row], input.width, input.height), input));
      ms += made.ms;
      const left = enlarged(lefts[column], ratio), wide = Math.min(output.width, width - left);
      for (let y = 0; y < tall; y++) {
        for (let x = 0; x < wide; x++) {
          const weight = Math.fround(rampY[y] * rampX[x]), place = y * width + left + x;
          weights[place] += weight;
          for (let c = 0; c < channels; c++) {
            total[place * channels + c] += Math.fround(made.output[(y * output.width + x) * channels + c] * weight);
          }
        }
      }
    }
    const ready = row + 1 < tops.length ? enlarged(tops[row + 1], ratio) - top : tall;
    const line = new Float32Array(width * channels);
    for (let y = 0; y < ready; y++) {
      for (let i = 0; i < line.length; i++) {
        line[i] = total[y * width * channels + i] / weights[y * width + Math.trunc(i / channels)];
      }
      toPixels(line, output, result.data, 4 * (top + y) * width);
    }
    total.copyWithin(0, ready * width * channels);
    total.fill(0, total.length - ready * width * channels);
    weights.copyWithin(0, ready * width);
    weights.fill(0, weights.length - ready * width);
  }
  return {image: result, ms};
}
