// Before and after in one canvas, with a divider that a finger, a mouse or the arrow keys move.

/** Returns {show(left, right)}: two ImageData, the left one drawn at the size of the right; `line` marks the divider. */
export function makeSlider(canvas, input, line) {
  let left, right;
  const shown = () => {
    const box = canvas.getBoundingClientRect();
    const width = canvas.width * Math.min(box.width / canvas.width, box.height / canvas.height);
    return {start: box.left + (box.width - width) / 2, margin: (box.width - width) / 2, width};
  };
  const draw = () => {
    if (!right) return;
    canvas.width = right.width;
    canvas.height = right.height;
    const context = canvas.getContext("2d");
    const edge = Math.round(canvas.width * input.value / input.max);
    context.putImageData(right, 0, 0);
    if (left instanceof ImageData) {
      context.putImageData(left, 0, 0, 0, 0, edge, canvas.height);
    } else if (edge > 0) {
      context.save();
      context.beginPath();
      context.rect(0, 0, edge, canvas.height);
      context.clip();
      context.drawImage(left, 0, 0, canvas.width, canvas.height);
      context.restore();
    }
    const {margin, width} = shown();
    line.hidden = false;
    line.style.left = `${margin + width * edge / canvas.width}px`;
  };
  const move = (event) => {
    if (event.buttons === 0 && event.type === "pointermove") return;
    const {start, width} = shown();
    input.value = Math.round(input.max * (event.clientX - start) / width);
    draw();
  };
  input.addEventListener("input", draw);
  input.addEventListener("pointerdown", move);
  input.addEventListener("pointermove", move);
  addEventListener("resize", draw);
  return {show(before, after) {
    left = before;
    right = after;
    if (left.width !== right.width || left.height !== right.height) {
      left = new OffscreenCanvas(before.width, before.height);
      left.getContext("2d").putImageData(before, 0, 0);
    }
    draw();
  }};
}
