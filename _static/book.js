// Small helps for the static pages; a page is complete without them. No library, nothing fetched.
(() => {
  "use strict";

  // The widget manager calls the queue of MathJax 2, which MathJax 3 has not: a page error for each HTML widget.
  function answerOldMathCalls() {
    if (window.MathJax && !window.MathJax.Hub) {
      window.MathJax.Hub = { Queue: (call) => window.MathJax.typesetPromise?.([call[2]]) };
    }
  }

  // Slider handles carry the role but no name: take the slider's own label.
  function nameSliders(root) {
    for (const handle of root.querySelectorAll(".noUi-handle")) {
      const box = handle.closest(".widget-slider, .jupyter-widget-slider, .widget-inline-hbox");
      const label = box && box.querySelector(".widget-label");
      if (label && label.textContent.trim()) {
        handle.setAttribute("aria-label", label.textContent.trim());
      }
      const readout = box && box.querySelector(".widget-readout");
      if (readout && readout.textContent.trim()) {
        handle.setAttribute("aria-valuetext", readout.textContent.trim());
      }
    }
  }

  // What scrolls must be reachable by keyboard.
  function reachScrollers() {
    const boxes = ".nb-figure, .nb-explore .widget-html-content, div.math, mjx-container, .bd-article pre, .pst-scrollable-table-container, div.cell_output .output";
    for (const box of document.querySelectorAll(boxes)) {
      if (box.scrollWidth > box.clientWidth + 1) {
        if (!box.hasAttribute("tabindex")) {
          box.setAttribute("tabindex", "0");
          box.dataset.nbReached = "";
        }
      } else if ("nbReached" in box.dataset) {
        box.removeAttribute("tabindex");
        delete box.dataset.nbReached;
      }
    }
  }

  // An inline formula cannot break; one that is wider than its line scrolls like a displayed one.
  function wideMaths() {
    for (const formula of document.querySelectorAll(".bd-article mjx-container:not([display])")) {
      const line = formula.closest("p, li, td, th, dd, summary, figcaption");
      if (line && !line.closest("table")) {
        formula.classList.toggle("nb-wide", formula.getBoundingClientRect().width > line.clientWidth || formula.scrollWidth > line.clientWidth);
      }
    }
  }

  // The widget manager (1.0.6) asks for maths as MathJax 2 did and fails where it finds MathJax 3.
  function answerWidgetManager() {
    if (window.MathJax && MathJax.typesetPromise && !MathJax.Hub) {
      MathJax.Hub = {
        Queue: (...jobs) => {
          const places = jobs.filter((job) => Array.isArray(job) && job[0] === "Typeset").map((job) => job[2]);
          MathJax.startup.promise = MathJax.startup.promise.then(() => MathJax.typesetPromise(places));
        },
      };
    }
  }

  // Buttons that show the claims of one verdict.
  function filterClaims() {
    const claims = [...document.querySelectorAll(".nb-claim.nb-verdict")];
    if (!claims.length) {
      return;
    }
    const verdict = (claim) => claim.querySelector(".nb-verdict-label").textContent.trim();
    const counts = new Map();
    for (const claim of claims) {
      counts.set(verdict(claim), (counts.get(verdict(claim)) || 0) + 1);
    }
    if (counts.size < 2) {
      return;
    }
    const group = document.createElement("fieldset");
    group.className = "nb-filter";
    group.innerHTML = "<legend>Show claims by verdict</legend>";
    const choose = (chosen) => {
      for (const button of group.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(button.dataset.verdict === chosen));
      }
      for (const claim of claims) {
        claim.hidden = chosen !== "" && verdict(claim) !== chosen;
      }
      for (const section of new Set(claims.map((claim) => claim.closest("section")))) {
        section.hidden = [...section.querySelectorAll(".nb-claim")].every((claim) => claim.hidden);
      }
    };
    const order = ["Holds", "Holds under conditions", "Does not hold here"];
    const place = (label) => (order.includes(label) ? order.indexOf(label) : order.length);
    const sorted = [...counts].sort(([one], [other]) => place(one) - place(other));
    for (const [label, count] of [["", claims.length], ...sorted]) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.verdict = label;
      button.textContent = `${label || "All"} (${count})`;
      button.addEventListener("click", () => choose(label));
      group.append(button);
    }
    const first = claims[0].closest("section");
    first.before(group);
    choose("");
    // A link to one claim must find it, whatever was chosen before.
    window.addEventListener("hashchange", () => choose(""));
  }

  // Printed pages have their folds open.
  function openFoldsForPrint() {
    let closed = [];
    window.addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll(".bd-article details:not([open])")];
      closed.forEach((fold) => (fold.open = true));
    });
    window.addEventListener("afterprint", () => closed.forEach((fold) => (fold.open = false)));
  }

  function start() {
    answerOldMathCalls();
    filterClaims();
    openFoldsForPrint();
    let waiting = 0;
    const look = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        wideMaths();
        nameSliders(document);
        reachScrollers();
      }, 150);
    };
    const article = document.querySelector(".bd-article") || document.body;
    new MutationObserver(look).observe(article, { childList: true, subtree: true, characterData: true });
    window.addEventListener("resize", look);
    look();
  }

  // Registered in the head, so it runs before the widget manager starts on the same event.
  window.addEventListener("load", answerWidgetManager);
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start);
  } else {
    start();
  }
})();
