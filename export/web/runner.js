// One loaded model in LiteRT.js on the CPU (WASM), and its proof on this device.
import {Tensor, loadAndCompile, loadLiteRt} from "@litertjs/core";
import {goldenTensors, modelBytes} from "./card.js";
import {toTensor} from "./pixels.js";

let runtime;

/** Loads a card's model, bytes checked; call close() when done. */
export async function open(card) {
  const bytes = await modelBytes(card);
  runtime ??= loadLiteRt("./vendor/litertjs/");
  try {
    await runtime;
  } catch (error) {
    runtime = undefined;
    throw new Error(`LiteRT.js does not start in this browser: ${error.message ?? error}`);
  }
  let model;
  try {
    model = await loadAndCompile(bytes, {accelerator: "wasm"});
  } catch (error) {
    throw new Error(`LiteRT.js cannot load ${card.id}: ${error.message ?? error}`);
  }
  return {
    /** Runs once: {output: Float32Array, ms}. The time holds the run and the read-back. */
    async run(values) {
      const began = performance.now();
      const input = new Tensor(values, card.input.shape);
      const results = await model.run([input]);
      const output = results[0].toTypedArray().slice();
      input.delete();
      results.forEach((result) => result.delete());
      return {output, ms: performance.now() - began};
    },
    close() {
      model.delete();
    },
  };
}

/** Golden picture to golden output: {passed, message, mean, largest}. Nothing is thrown for what a bundle can cause. */
export async function selfTest(card, decode) {
  let runner;
  try {
    const [golden, wanted] = await goldenTensors(card);
    const picture = await decode(`models/${card.id}/${card.golden.picture}`);
    const prepared = toTensor(picture.data, card.input);
    if (prepared.length !== golden.length || prepared.some((v, i) => v !== golden[i])) {
      throw new Error("the golden picture becomes another tensor in this browser");
    }
    runner = await open(card);
    const {output} = await runner.run(golden);
    let sum = 0, largest = 0;
    output.forEach((v, i) => {
      const difference = Math.abs(v - wanted[i]);
      sum += difference;
      largest = Math.max(largest, difference);
    });
    const mean = sum / output.length, limit = card.golden.max_mean_abs;
    const passed = output.length === wanted.length && mean <= limit;
    const figures = `mean difference ${mean.toExponential(2)}, largest ${largest.toExponential(2)}, limit ${limit} (mean)`;
    return {passed, mean, largest, message: passed ? figures : `the output is not the golden output: ${figures}`};
  } catch (error) {
    return {passed: false, mean: NaN, largest: NaN, message: error.message};
  } finally {
    runner?.close();
  }
}
