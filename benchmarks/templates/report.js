for (const run of document.querySelectorAll("section.run")) {
  const left = run.querySelector("select.left"), right = run.querySelector("select.right");
  if (!left) continue;
  const boxes = [...run.querySelectorAll(".slide")];
  const show = () => {
    for (const box of boxes) {
      const slider = box.querySelector("input");
      box.querySelector(".over").src = slider.dataset[left.value];
      box.querySelector(".under").src = slider.dataset[right.value];
      box.querySelector(".tag.left").textContent = left.selectedOptions[0].textContent;
      box.querySelector(".tag.right").textContent = right.selectedOptions[0].textContent;
    }
  };
  for (const box of boxes) {
    const slider = box.querySelector("input");
    slider.addEventListener("input", () => box.style.setProperty("--at", slider.value + "%"));
  }
  left.addEventListener("change", show);
  right.addEventListener("change", show);
  show();
}
