// Tooltips on hover or tap for all elements with data-tip. The content is set as text, never as HTML.
(() => {
  const box = document.createElement("div");
  box.className = "tip";
  box.setAttribute("role", "tooltip");
  const hide = () => box.classList.remove("shown");
  const show = (event) => {
    const target = event.target.closest && event.target.closest("[data-tip]");
    if (!target) return hide();
    if (!box.isConnected) document.body.append(box);
    box.textContent = target.dataset.tip;
    box.classList.add("shown");
    const at = target.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - box.offsetWidth / 2), innerWidth - box.offsetWidth - 8);
    const above = at.top - box.offsetHeight - 8;
    box.style.left = `${left}px`;
    box.style.top = `${above > 8 ? above : Math.min(at.bottom + 8, innerHeight - box.offsetHeight - 8)}px`;
  };
  document.addEventListener("pointerover", show);
  document.addEventListener("click", show);
  document.addEventListener("scroll", hide, true);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
})();
