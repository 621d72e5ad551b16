// Draws the charts of a report. The data lie in the page as JSON:
//   [{x, y, logX, logY, series: [{label, group, points: [[x, y], ...]}]}, ...]
// Lines of one group share a colour and one entry of the legend.
"use strict";
(() => {
  // Okabe and Ito's colours, told apart by colour-blind readers; yellow is left out on white paper.
  const colors = {
    light: ["#0072b2", "#d55e00", "#009e73", "#b0438a", "#c78600", "#2f9bd0", "#555555"],
    dark: ["#56b4e9", "#ff9a4d", "#2fd1a0", "#e59cc6", "#f0c040", "#9fd4f5", "#bbbbbb"],
  };
  const dashes = [[], [7, 4], [2, 3]];  // for the eighth group and on
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = [];

  const number = (v) => {
    const size = Math.abs(v);
    return v === 0 ? "0" : size >= 1e5 || size < 1e-3 ? v.toExponential(1) : String(+v.toPrecision(4));
  };
  // On a logarithmic axis label the powers of ten, and 2 and 5 where there is room.
  const logTick = (value, index, ticks) => {
    const digit = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
    const span = ticks[ticks.length - 1].value / ticks[0].value;
    const shown = span > 1e3 ? [1] : [1, 2, 5];
    return shown.some((d) => Math.abs(digit - d) < 1e-6) ? number(value) : "";
  };

  const axis = (title, log, style) => ({
    type: log ? "logarithmic" : "linear",
    title: { display: true, text: title, color: style.muted },
    grid: { color: style.line },
    ticks: { color: style.muted, maxRotation: 0, callback: log ? logTick : number },
  });

  const draw = (figure, logY) => {
    const chart = charts[figure.dataset.chart];
    const css = getComputedStyle(document.documentElement);
    const read = (name) => css.getPropertyValue(name).trim();
    const style = { ink: read("--ink"), muted: read("--muted"), line: read("--line") };
    const palette = dark.matches ? colors.dark : colors.light;
    const groups = [...new Set(chart.series.map((s) => s.group))];
    const datasets = chart.series.map((s) => {
      const i = groups.indexOf(s.group);
      return {
        label: s.label,
        group: s.group,
        data: s.points.filter((p) => !(logY && p[1] <= 0)).map(([x, y]) => ({ x, y })),
        borderColor: palette[i % palette.length],
        backgroundColor: palette[i % palette.length],
        borderDash: dashes[Math.floor(i / palette.length) % dashes.length],
        borderWidth: 1.5,
        pointRadius: s.points.length > 30 ? 0 : 2,
        pointHitRadius: 6,
      };
    });
    return new Chart(figure.querySelector("canvas"), {
      type: "line",
      data: { datasets },
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: { x: axis(chart.x, chart.logX, style), y: axis(chart.y, logY, style) },
        plugins: {
          legend: {
            position: "bottom",
            labels: {
              color: style.ink,
              boxWidth: 24,
              boxHeight: 1,
              generateLabels: (c) => groups.map((group) => {
                const index = c.data.datasets.findIndex((d) => d.group === group);
                const d = c.data.datasets[index];
                return {
                  text: group, fontColor: style.ink, strokeStyle: d.borderColor, lineWidth: 2,
                  lineDash: d.borderDash, fillStyle: "transparent", datasetIndex: index,
                  hidden: !c.isDatasetVisible(index),
                };
              }),
            },
            onClick: (event, item, legend) => {
              const c = legend.chart;
              const shown = c.isDatasetVisible(item.datasetIndex);
              c.data.datasets.forEach((d, i) => {
                if (d.group === item.text) c.setDatasetVisibility(i, !shown);
              });
              c.update();
            },
          },
          tooltip: {
            callbacks: {
              title: (items) => `${chart.x} ${number(items[0].parsed.x)}`,
              label: (item) => `${item.dataset.label}: ${number(item.parsed.y)}`,
            },
          },
        },
      },
    });
  };

  for (const figure of document.querySelectorAll("figure.chart")) {
    const box = figure.querySelector("input");
    box.checked = charts[figure.dataset.chart].logY;
    const entry = { chart: draw(figure, box.checked), redraw: null };
    entry.redraw = () => { entry.chart.destroy(); entry.chart = draw(figure, box.checked); };
    box.addEventListener("change", entry.redraw);
    drawn.push(entry);
  }
  dark.addEventListener("change", () => drawn.forEach((entry) => entry.redraw()));
  window.addEventListener("beforeprint", () => drawn.forEach((entry) => entry.chart.resize()));
})();
