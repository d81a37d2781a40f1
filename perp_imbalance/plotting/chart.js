"use strict";
// One chart: title, controls and a plot of linked panels that draws only what is visible.

class PerpChart {
  static count = 0;

  constructor(root) {
    this.root = root;
    // A picture has nothing to press.
    root.classList.toggle("picture", window.location.hash === "#picture");
    this.content = JSON.parse(root.querySelector("script").textContent);
    this.rows = PerpBuckets.table(this.content);
    const { dates } = this.rows;
    const half = this.content.step / 2;
    this.all = [dates[0] - half, dates[dates.length - 1] + half];
    this.view = [...this.all];
    this.frame();
    this.listen();
  }

  // Everything around the plot.
  frame() {
    const { content, root } = this;
    const { palette, thresholds } = content;
    for (const name of ["background", "text", "muted", "down", "long"]) {
      root.style.setProperty(`--${name}`, palette[name]);
    }
    const make = (parent, tag, kind, text) => {
      const found = document.createElement(tag);
      if (kind) found.className = kind;
      if (text) found.textContent = text;
      parent.append(found);
      return found;
    };
    const header = make(root, "header");
    make(header, "h1", "", `${content.pair} · ${content.timeframe}`);
    make(header, "span", "muted", content.strategy);
    this.span = make(header, "span", "muted span");
    if (content.note) make(header, "span", "note", content.note);
    const controls = make(header, "span", "controls");
    this.status = make(controls, "span", "status");
    this.status.setAttribute("aria-live", "polite");
    const buttons = [
      ["◀", "pan left", () => this.pan(-0.25)], ["▶", "pan right", () => this.pan(0.25)],
      ["−", "zoom out", () => this.zoom(1.5)], ["+", "zoom in", () => this.zoom(1 / 1.5)],
      ["all", "show all candles", () => this.show(...this.all)],
    ];
    for (const [text, name, act] of buttons) {
      const button = make(controls, "button", "", text);
      button.type = "button";
      button.title = name;
      button.setAttribute("aria-label", name);
      button.addEventListener("click", act);
      controls.append(" ");
    }
    const legend = make(root, "div", "legend");
    const entries = [
      [palette.short, "SHORT bias"], [palette.long, "LONG bias"],
      [palette.premium_positive, `perp dearer than ${content.source}`], [palette.premium_negative, "cheaper"],
      [palette.missing, `no fresh ${content.source} price`],
    ];
    if (content.htf) entries.push([palette.htf, `z of ${content.htf}`]);
    if (this.rows.funding) entries.push([palette.funding, "funding: longs pay above 0"]);
    for (const [color, text] of entries) {
      const item = make(legend, "span");
      make(item, "i").style.background = color;
      item.append(text);
    }
    make(legend, "span", "", `▼ ▲ ${content.trades ? "trade opened" : "entry signal"}`);
    if (content.trades) {
      for (const [color, text] of [[palette.up, "closed, won"], [palette.down, "closed, lost"]]) {
        const item = make(legend, "span");
        make(item, "b", "", "◆ ").style.color = color;
        item.append(text);
      }
    }
    make(legend, "span", "", `z and tint deepest from ±${thresholds.hot_z}`);
    this.colorZ();
    this.plot = make(root, "div", "plot");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", `Price, z and premium of ${content.pair}`);
    if (!content.small) {
      make(root, "p", "help", "Drag or ← → to pan, wheel or + − to zoom, Home and End for the "
        + "first and last candles, 0 for all of them. All times are UTC.");
    }
  }

  // The line of z deepens with |z|: a gradient from one hot colour over the light one to the other.
  colorZ() {
    const { palette } = this.content;
    const id = `perp-z-${PerpChart.count += 1}`;
    const stops = [[0, palette.z_hot_short], [0.5, palette.z_light], [1, palette.z_hot_long]];
    this.root.style.setProperty("--z", `url(#${id})`);
    this.root.insertAdjacentHTML("beforeend", `<svg width="0" height="0" aria-hidden="true"
      style="position:absolute"><linearGradient id="${id}" gradientUnits="userSpaceOnUse" x1="0"
      x2="0">${stops.map(([at, color]) => `<stop offset="${at}" stop-color="${color}"/>`).join("")
      }</linearGradient></svg>`);
    this.gradient = document.getElementById(id);
  }

  listen() {
    const keys = {
      ArrowLeft: () => this.pan(-0.25), ArrowRight: () => this.pan(0.25),
      "+": () => this.zoom(1 / 1.5), "=": () => this.zoom(1 / 1.5), "-": () => this.zoom(1.5),
      Home: () => this.pan(-Infinity), End: () => this.pan(Infinity),
      0: () => this.show(...this.all),
    };
    (this.content.small ? this.plot : document).addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    new ResizeObserver(() => {
      const { clientWidth, clientHeight } = this.plot;
      const size = `${clientWidth} ${clientHeight}`;
      if (this.size && this.size !== size) this.draw();
    }).observe(this.plot);
  }

  pan(share) {
    const [start, end] = this.view;
    const width = end - start;
    let to = start + share * width;
    to = Math.max(this.all[0], Math.min(to, this.all[1] - width));
    this.show(to, to + width);
  }

  zoom(factor) {
    const middle = (this.view[0] + this.view[1]) / 2;
    const half = ((this.view[1] - this.view[0]) / 2) * factor;
    this.show(middle - half, middle + half);
  }

  // Show a span of time, at least ten candles of it and nothing far beyond the candles there are.
  show(start, end) {
    const least = Math.min(10 * this.content.step, this.all[1] - this.all[0]);
    const middle = (start + end) / 2;
    let low = Math.min(start, middle - least / 2);
    let high = Math.max(end, middle + least / 2);
    const width = high - low;
    if (low < this.all[0]) [low, high] = [this.all[0], this.all[0] + width];
    if (high > this.all[1]) [low, high] = [Math.max(this.all[0], this.all[1] - width), this.all[1]];
    this.view = [low, high];
    this.draw();
  }

  draw() {
    const [start, end] = this.view;
    const span = end - start;
    const { clientWidth, clientHeight } = this.plot;
    this.size = `${clientWidth} ${clientHeight}`;
    const places = Math.max(40, Math.floor((clientWidth - 64) / 2.5));
    this.bucketSize = PerpBuckets.sizeFor(span / this.content.step, places);
    // Half as much again on both sides, so that there is something to drag into view.
    const buckets = PerpBuckets.cut(this.rows, start - span / 2, end + span / 2, this.bucketSize);
    const drawing = new PerpDrawing(
      this.content, this.rows, buckets, this.bucketSize, this.view,
      [clientWidth, clientHeight],
    );
    const layout = drawing.layout();
    const config = { displayModeBar: false, scrollZoom: !this.content.small, doubleClick: false };
    const [top, bottom] = drawing.zGradient();
    this.gradient.setAttribute("y1", top);
    this.gradient.setAttribute("y2", bottom);
    const traces = drawing.traces();
    Plotly.react(this.plot, traces, layout, config);
    const day = (time) => new Date(time).toISOString().slice(0, 10);
    this.span.textContent = `${day(start + this.content.step / 2)} to ${day(end)}`;
    const said = [];
    if (drawing.labelsLeftOut) said.push("some flips have no label");
    if (this.bucketSize > 1) {
      said.push(`each candle = ${this.bucketSize} candles of ${this.content.timeframe}`);
    }
    const status = said.join(" · ");
    if (this.status.textContent !== status) this.status.textContent = status;
    if (this.root.dataset.drawn) return;
    this.root.dataset.drawn = performance.now().toFixed(0);
    this.plot.on("plotly_relayout", (change) => {
      const range = change["xaxis.range"] || [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (range[0] === undefined) return;
      this.show(...range.map((time) => (typeof time === "number" ? time
        : Date.parse(`${time.replace(" ", "T")}${time.includes(" ") ? "Z" : ""}`))));
    });
    this.plot.on("plotly_doubleclick", () => this.show(...this.all));
  }
}

for (const root of document.querySelectorAll(".perp-chart")) {
  const begin = () => { root.perpChart = new PerpChart(root); root.perpChart.draw(); };
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
