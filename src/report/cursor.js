// A cursor over all curves at once. The page says everything without it.
"use strict";
(() => {
  const pill = document.getElementById("cursor");
  const plots = [...document.querySelectorAll(".area")].map((area) => {
    const d = area.dataset;
    const view = area.querySelector("svg").viewBox.baseVal;
    const hair = document.createElement("div");
    hair.className = "hair";
    hair.hidden = true;
    area.append(hair);
    const outputs = [...area.closest("figure").querySelectorAll("output")];
    const lines = outputs.map((output) => {
      // Of two lines of a name, the last drawn is the strong one.
      const path = [...area.querySelectorAll("path")].filter((p) => p.dataset.name === output.dataset.name).pop();
      return { output, path };
    });
    return {
      area, hair, lines, width: view.width, height: view.height,
      first: +d.first, frames: +d.frames, fps: +d.fps, lo: +d.lo, hi: +d.hi, decimals: +d.decimals,
    };
  });

  // The points of a line as the page holds them: runs of x, y.
  const points = (line) => (line.points ??= (line.path?.getAttribute("d") ?? "").split("M").flatMap((run) => {
    const n = run.replace("h0", "").trim().split(" ").map(Number);
    return Array.from({ length: n.length >> 1 }, (_, i) => [n[2 * i], n[2 * i + 1]]);
  }));

  const reading = (plot, line, x) => {
    let best = null;
    for (const p of points(line)) if (!best || Math.abs(p[0] - x) < Math.abs(best[0] - x)) best = p;
    const reach = Math.max(plot.width / plot.frames, 1) * 0.75;
    if (!best || Math.abs(best[0] - x) > reach) return "–";
    if (best[1] < -0.05) return "> " + plot.hi.toFixed(plot.decimals);
    const value = plot.hi - (best[1] / plot.height) * (plot.hi - plot.lo);
    return value.toFixed(plot.decimals).replace(/^-(0\.?0*)$/, "$1");
  };

  const show = (index) => {
    for (const plot of plots) {
      const x = (index + 0.5) / plot.frames;
      plot.hair.hidden = false;
      plot.hair.style.left = 100 * x + "%";
      for (const line of plot.lines) line.output.textContent = reading(plot, line, x * plot.width);
    }
    const { first, fps } = plots[0];
    pill.textContent = "frame " + (first + index) + (fps > 0 ? " · " + (index / fps).toFixed(2) + " s" : "");
    pill.hidden = false;
  };

  const hide = () => {
    pill.hidden = true;
    for (const plot of plots) {
      plot.hair.hidden = true;
      for (const line of plot.lines) line.output.textContent = "";
    }
  };

  if (!plots.length) return;
  // Room for the readings, so that nothing moves when they appear.
  document.body.classList.add("live");
  for (const plot of plots) {
    plot.area.addEventListener("pointermove", (e) => {
      const box = plot.area.getBoundingClientRect();
      const at = Math.floor(((e.clientX - box.left) / box.width) * plot.frames);
      show(Math.min(Math.max(at, 0), plot.frames - 1));
    });
    plot.area.addEventListener("pointerleave", hide);
  }
  for (const e of document.querySelectorAll("[data-frame]")) {
    const index = +e.dataset.frame - plots[0].first;
    if (index < 0 || index >= plots[0].frames) continue;
    e.addEventListener("pointerenter", () => { e.classList.add("at"); show(index); });
    e.addEventListener("pointerleave", () => { e.classList.remove("at"); hide(); });
  }
})();
