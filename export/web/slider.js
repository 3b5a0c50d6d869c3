// Before and after in one canvas, with a divider that a finger, a mouse or the arrow keys move.

/** Returns {show(left, right)}: two ImageData of one size. */
export function makeSlider(canvas, input) {
  let left, right;
  const draw = () => {
    if (!right) return;
    canvas.width = right.width;
    canvas.height = right.height;
    const context = canvas.getContext("2d");
    const edge = Math.round(canvas.width * input.value / input.max);
    context.putImageData(right, 0, 0);
    context.putImageData(left, 0, 0, 0, 0, edge, canvas.height);
    context.fillStyle = "#fff";
    context.fillRect(edge - Math.max(1, canvas.width / 400), 0, Math.max(2, canvas.width / 200), canvas.height);
  };
  input.addEventListener("input", draw);
  const move = (event) => {
    if (event.buttons === 0 && event.type === "pointermove") return;
    const box = canvas.getBoundingClientRect();
    const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
    const shown = canvas.width * scale, start = box.left + (box.width - shown) / 2;
    input.value = Math.round(input.max * (event.clientX - start) / shown);
    draw();
  };
  input.addEventListener("pointerdown", move);
  input.addEventListener("pointermove", move);
  return {show(before, after) {
    left = before;
    right = after;
    draw();
  }};
}
