"use strict";
// One chart: title, controls, panes, legends, and what it answers to.

class PerpChart {
  // Candles that a page opens on.
  static OPENED = 300;

  constructor(root) {
    this.root = root;
    this.content = JSON.parse(root.querySelector("script").textContent);
    this.rows = PerpData.table(this.content);
    // A picture has nothing to press.
    this.still = window.location.hash === "#picture";
    root.classList.toggle("picture", this.still);
    for (const name of ["background", "text", "muted", "grid", "down", "long"]) {
      root.style.setProperty(`--${name}`, this.content.palette[name]);
    }
    this.heading();
    this.key();
    this.plot = this.make(root, "div", "plot");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", `Price, z and premium of ${this.content.pair}`);
    this.panes = new PerpPanes(this.plot, this.content, this.rows,
      (hint) => this.legend.show(this.legend.row, hint));
    this.chart = this.panes.chart;
    const boxes = this.chart.panes().map(() => this.make(root, "div", "legend"));
    this.legend = new PerpLegend(this.content, this.rows, boxes,
      this.panes.candles.priceFormatter());
    this.legend.show(this.rows.count - 1);
    this.open();
    if (!this.content.small) {
      this.make(root, "p", "help", "Drag or ← → to pan, wheel, pinch or + − to zoom, Home and End "
        + "for the first and last candles, 0 for all of them. All times are UTC.");
    }
    this.listen();
  }

  make(parent, tag, kind = "", text = "") {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    made.append(text);
    parent.append(made);
    return made;
  }

  // A page opens on the last candles, a picture and a small chart on all.
  open() {
    const { count } = this.rows;
    const all = this.content.small || this.still || count <= PerpChart.OPENED;
    if (all) this.chart.timeScale().fitContent();
    else this.view(count - PerpChart.OPENED, count - 1);
  }

  heading() {
    const { content, root } = this;
    const header = this.make(root, "header");
    this.make(header, "h1", "", `${content.pair} · ${content.timeframe}`);
    this.make(header, "span", "muted", content.strategy);
    this.span = this.make(header, "span", "muted span");
    if (content.note) this.make(header, "span", "note", content.note);
    const controls = this.make(header, "span", "controls");
    const buttons = [
      ["−", "zoom out", () => this.zoom(1.5)], ["+", "zoom in", () => this.zoom(1 / 1.5)],
      ["all", "show all candles", () => this.chart.timeScale().fitContent()],
      ["log", "logarithmic prices", (on) => this.chart.priceScale("right", 0)
        .applyOptions({ mode: on ? 1 : 0 })],
      [content.source.split(" ")[0], `price of ${content.source}`, (on) => {
        this.panes.spotShown = on;
        this.panes.candles.applyOptions({});
      }],
    ];
    buttons.forEach(([text, name, act], at) => {
      const button = this.make(controls, "button", "", text);
      Object.assign(button, { type: "button", title: name });
      button.setAttribute("aria-label", name);
      if (at > 2) button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") === "false";
        if (at > 2) button.setAttribute("aria-pressed", String(on));
        act(on);
      });
    });
  }

  // What the colours and marks mean.
  key() {
    const { content, root, rows } = this;
    const { palette, thresholds } = content;
    const key = this.make(root, "div", "key");
    const entries = [
      ["■", palette.short, "SHORT bias"], ["■", palette.long, "LONG bias"],
      ["■", palette.premium_positive, `perp dearer than ${content.source}`],
      ["■", palette.premium_negative, "cheaper"],
      ["■", palette.missing, `no fresh ${content.source} price`],
      ...(content.htf ? [["■", palette.htf, `z of ${content.htf}`]] : []),
      ...(rows.funding ? [["■", palette.funding, "funding: longs pay above 0"]] : []),
      ["▼", palette.short, "", "▲", palette.long, content.trades ? "trade opened" : "entry signal"],
      ...(content.trades ? [["●", palette.up, "closed, won"], ["●", palette.down, "closed, lost"]]
        : []),
      ["", "", `z and tint deepest from ±${thresholds.hot_z}`],
      ...(rows.vwap ? [["━", palette.htf, "week's VWAP ±1σ"],
        ["━", palette.funding, "Monday's range"],
        ["━", palette.muted, "previous day's POC, VAH, VAL"],
        ["", "", "Levels are context: as gates they added nothing, and no entry depends on them."]]
        : []),
    ];
    for (const entry of entries) {
      const item = this.make(key, "span");
      for (let at = 0; at < entry.length; at += 3) {
        if (entry[at]) this.make(item, "i", "", entry[at]).style.color = entry[at + 1];
        item.append(entry[at + 2]);
      }
    }
  }

  listen() {
    const keys = {
      ArrowLeft: () => this.pan(-0.25), ArrowRight: () => this.pan(0.25),
      "+": () => this.zoom(1 / 1.5), "=": () => this.zoom(1 / 1.5), "-": () => this.zoom(1.5),
      Home: () => this.pan(-Infinity), End: () => this.pan(Infinity),
      0: () => this.chart.timeScale().fitContent(),
    };
    (this.content.small ? this.plot : document).addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    this.chart.subscribeCrosshairMove(({ logical, point }) => {
      const row = point && logical !== undefined ? logical : this.rows.count - 1;
      this.legend.show(Math.max(0, Math.min(row, this.rows.count - 1)));
    });
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(() => this.tell());
    this.place();
  }

  // Put each legend on its pane, now and whenever a pane changes its size.
  place() {
    const panes = this.chart.panes().map((pane) => pane.getHTMLElement());
    // The library makes its panes when it first draws.
    if (!panes.every(Boolean)) { requestAnimationFrame(() => this.place()); return; }
    const put = () => {
      const { top } = this.root.getBoundingClientRect();
      const width = this.plot.offsetLeft + this.chart.priceScale("right", 0).width();
      this.legend.boxes.forEach((box, at) => {
        box.style.top = `${panes[at].getBoundingClientRect().top - top}px`;
        box.style.right = `${width}px`;
      });
    };
    const observer = new ResizeObserver(put);
    panes.forEach((pane) => observer.observe(pane));
    put();
    this.tell();
    this.root.dataset.drawn = performance.now().toFixed(0);
  }

  // Say which candles are in view, and whether several share a pixel.
  tell() {
    const { dates, count } = this.rows;
    // A window without a width has no candles in view.
    const { from, to } = this.chart.timeScale().getVisibleLogicalRange() || { from: 0, to: 0 };
    const [first, last] = [Math.max(0, Math.ceil(from)), Math.min(count - 1, Math.floor(to))];
    const day = (row) => PerpData.minute(dates[row]).slice(0, 10);
    const merged = (to - from) * 0.5 > this.chart.timeScale().width()
      ? ", several candles a pixel" : "";
    const text = `${day(first)} to ${day(last)}${merged}`;
    if (this.span.textContent !== text) this.span.textContent = text;
  }

  // Show candles by their rows, the last included, at least ten and only where there are any.
  view(first, last) {
    const { count } = this.rows;
    const width = Math.min(Math.max(last - first, 9), count - 1);
    const from = Math.max(0, Math.min((first + last - width) / 2, count - 1 - width));
    this.chart.timeScale().setVisibleLogicalRange({ from, to: from + width });
  }

  pan(share) {
    const { from, to } = this.chart.timeScale().getVisibleLogicalRange();
    const most = this.rows.count - 1 - (to - from);
    const at = Math.max(0, Math.min(from + share * (to - from), most));
    this.view(at, at + to - from);
  }

  zoom(factor) {
    const { from, to } = this.chart.timeScale().getVisibleLogicalRange();
    const more = ((to - from) * (factor - 1)) / 2;
    this.view(from - more, to + more);
  }
}

for (const root of document.querySelectorAll(".perp-chart")) {
  const begin = () => { root.perpChart = new PerpChart(root); };
  if (!root.classList.contains("small")) {
    begin();
  } else {
    new IntersectionObserver((seen, observer) => {
      if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
      observer.disconnect();
      begin();
    }, { rootMargin: "600px" }).observe(root);
  }
}
