// Runs in the page: what a reader would see, as plain data.
() => {
  const article = document.querySelector("article") || document.body;
  const width = document.documentElement.clientWidth;
  const name = (element) => {
    const text = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 60);
    const classes = typeof element.className === "string" ? element.className.trim().split(/\s+/).slice(0, 3) : [];
    return [element.tagName.toLowerCase(), ...classes].filter(Boolean).join(".") + (text ? ` “${text}”` : "");
  };
  const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });

  // Text outside code and formulas, where any mark-up left over would be read aloud.
  const apart = "code, pre, script, style, svg, mjx-container, textarea, .visually-hidden, .MathJax_Preview";
  const texts = [];
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.data.trim() && !node.parentElement.closest(apart)) texts.push(node.data.trim());
  }

  // What sticks out of the window must scroll inside a box of its own.
  const cut = [];
  for (const element of article.querySelectorAll("*")) {
    if (element.closest("svg") && element.tagName !== "svg") continue;
    if (element.closest("mjx-container") && element.tagName !== "MJX-CONTAINER") continue;
    if (element.closest(".visually-hidden, .sr-only, script, style") || !shown(element)) continue;
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height || (box.right <= width + 1 && box.left >= -1)) continue;
    let holder = element;
    let verdict = "sticks out of the window";
    for (; holder && holder !== document.body; holder = holder.parentElement) {
      const overflow = getComputedStyle(holder).overflowX;
      const inside = holder.getBoundingClientRect();
      if (inside.right > width + 1 || inside.left < -1) continue;
      if (overflow === "auto" || overflow === "scroll") verdict = "";
      else if (overflow === "hidden" || overflow === "clip") verdict = `is cut off by ${name(holder)}`;
      else continue;
      break;
    }
    if (verdict) cut.push(`${name(element)} ${verdict}`);
  }

  const small = [];
  for (const element of article.querySelectorAll("p, li, dd, td")) {
    if (element.closest("figcaption, figure, svg, footer, .cell_output, table, .toctree-wrapper") || !shown(element)) continue;
    if (!element.textContent.trim()) continue;
    const size = parseFloat(getComputedStyle(element).fontSize);
    if (size < 15) small.push(`${size}px: ${name(element)}`);
  }

  const macros = [...article.querySelectorAll("mjx-assistive-mml mtext[mathcolor=red], mjx-assistive-mml merror")];
  return {
    theme: document.documentElement.dataset.theme,
    formulas: article.querySelectorAll("mjx-container").length,
    unset: [...article.querySelectorAll(".math")].filter((m) => !m.querySelector("mjx-container")).map(name),
    mathErrors: [
      ...[...article.querySelectorAll("mjx-merror, [data-mjx-error]")].map((e) => e.dataset.mjxError || e.textContent),
      ...macros.map((e) => `undefined macro ${e.textContent}`),
    ],
    texts,
    outputs: [...article.querySelectorAll(".cell_output pre")].map((output) => output.textContent),
    // Not innerWidth, which a phone widens to what sticks out.
    overflow: document.scrollingElement.scrollWidth - width,
    cut,
    small,
  };
}
