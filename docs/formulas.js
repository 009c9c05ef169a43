// Draw the formulas of a page, which the build leaves as LaTeX.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.renderMathInElement) return;
  for (const formula of document.querySelectorAll(".arithmatex")) {
    renderMathInElement(formula, {
      delimiters: [
        { left: "\\[", right: "\\]", display: true },
        { left: "\\(", right: "\\)", display: false },
      ],
    });
  }
});
