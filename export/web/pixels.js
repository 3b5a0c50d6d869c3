// Pixels (ImageData) to float32 NHWC tensors and back, and scaling; equal bit for bit to edgegan run and the app's core.
const FRACTION_BITS = 22;

function roundHalfEven(x) {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** RGBA bytes to `info`'s colour order and range, float32 arithmetic step by step. */
export function toTensor(pixels, info) {
  const scale = Math.fround(255 / Math.fround(info.high - info.low));
  const levels = Float32Array.from({length: 256}, (_, v) => Math.fround(Math.fround(v / scale) + info.low));
  const count = pixels.length / 4;
  const out = new Float32Array(count * info.channels);
  for (let i = 0, j = 0; i < count; i++) {
    const red = levels[pixels[4 * i]], green = levels[pixels[4 * i + 1]], blue = levels[pixels[4 * i + 2]];
    if (info.colour === "grey") {
      out[j++] = Math.fround(Math.fround(Math.fround(red * Math.fround(0.299)) + Math.fround(green * Math.fround(0.587)))
        + Math.fround(blue * Math.fround(0.114)));
    } else {
      out[j++] = info.colour === "rgb" ? red : blue;
      out[j++] = green;
      out[j++] = info.colour === "rgb" ? blue : red;
    }
  }
  return out;
}

/** A tensor to RGBA bytes: rounded half to even, clipped, NaN as black. */
export function toPixels(tensor, info, out, offset = 0) {
  const scale = Math.fround(255 / Math.fround(info.high - info.low));
  const level = (v) => {
    const x = Math.fround(Math.fround(v - info.low) * scale);
    return x > 0 ? Math.min(255, roundHalfEven(x)) : 0;
  };
  const swap = info.colour === "bgr" ? 2 : 0;
  for (let i = 0; i < tensor.length / info.channels; i++) {
    for (let c = 0; c < 3; c++) {
      const from = info.channels === 1 ? i : 3 * i + (c === 1 ? 1 : Math.abs(swap - c));
      out[offset + 4 * i + c] = level(tensor[from]);
    }
    out[offset + 4 * i + 3] = 255;
  }
}

function weights(inSize, outSize) {
  const scale = inSize / outSize, support = Math.max(1, scale), inverse = 1 / support;
  return Array.from({length: outSize}, (_, i) => {
    const centre = (i + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - support + 0.5));
    const to = Math.min(inSize, Math.trunc(centre + support + 0.5));
    const raw = [];
    let sum = 0;
    for (let x = from; x < to; x++) {
      const distance = Math.abs((x - centre + 0.5) * inverse);
      raw.push(distance < 1 ? 1 - distance : 0);
      sum += raw[raw.length - 1];
    }
    return {from, values: raw.map((w) => Math.trunc(0.5 + (sum ? w / sum : w) * 2 ** FRACTION_BITS))};
  });
}

function pass(pixels, lines, lineStep, pointStep, plan, out, outLineStep, outPointStep) {
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < plan.length; i++) {
      const {from, values} = plan[i];
      let red = 1 << (FRACTION_BITS - 1), green = red, blue = red;
      for (let k = 0, p = line * lineStep + from * pointStep; k < values.length; k++, p += pointStep) {
        red += pixels[p] * values[k];
        green += pixels[p + 1] * values[k];
        blue += pixels[p + 2] * values[k];
      }
      const to = line * outLineStep + i * outPointStep;
      out[to] = red >> FRACTION_BITS;
      out[to + 1] = green >> FRACTION_BITS;
      out[to + 2] = blue >> FRACTION_BITS;
      out[to + 3] = 255;
    }
  }
}

/** Bilinear on half-pixel centres, widened when shrinking: Pillow's BILINEAR, bit for bit. Takes and returns ImageData. */
export function resize(image, width, height) {
  let {data} = image;
  if (width !== image.width) {
    const out = new Uint8ClampedArray(4 * width * image.height);
    pass(data, image.height, 4 * image.width, 4, weights(image.width, width), out, 4 * width, 4);
    data = out;
  }
  if (height !== image.height) {
    const out = new Uint8ClampedArray(4 * width * height);
    pass(data, width, 4, 4 * width, weights(image.height, height), out, 4, 4 * width);
    data = out;
  }
  return new ImageData(data === image.data ? data.slice() : data, width, height);
}

/** The middle of the picture with this aspect ratio, as large as fits. */
export function centreCrop(image, aspectWidth, aspectHeight) {
  const wide = Math.max(1, Math.min(image.width, Math.floor(image.height * aspectWidth / aspectHeight)));
  const high = Math.max(1, Math.min(image.height, Math.floor(image.width * aspectHeight / aspectWidth)));
  const left = Math.trunc((image.width - wide) / 2), top = Math.trunc((image.height - high) / 2);
  const out = new ImageData(wide, high);
  for (let y = 0; y < high; y++) {
    const from = 4 * ((top + y) * image.width + left);
    out.data.set(image.data.subarray(from, from + 4 * wide), 4 * y * wide);
  }
  return out;
}

/** PSNR of two pictures of one size in dB, peak 255; Infinity when equal. */
export function psnr(a, b) {
  let squares = 0;
  for (let i = 0; i < a.data.length; i++) if (i % 4 !== 3) squares += (a.data[i] - b.data[i]) ** 2;
  return 10 * Math.log10(255 * 255 / (squares / (0.75 * a.data.length)));
}
