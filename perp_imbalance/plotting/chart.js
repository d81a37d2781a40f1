"use strict";
// One chart: title, controls and the library's panes with their series, layers and legends.

class PerpChart {
  // Candles that a page opens on; a picture and a small chart show all.
  static OPENED = 300;

  static TINT = 0.62;

  // A week, and the first Monday of the epoch, in milliseconds.
  static WEEK = 604_800_000;

  static MONDAY = 345_600_000;

  // Levels by their column: what they are called, the palette's colour and the dash.
  static LEVELS = [
    ["vwap", "week's VWAP", "htf", []],
    ["vwap_upper", "+1σ", "htf", [2, 3]], ["vwap_lower", "−1σ", "htf", [2, 3]],
    ["monday_high", "Monday's high", "funding", []], ["monday_low", "Monday's low", "funding", []],
    ["poc", "POC", "muted", []], ["vah", "VAH", "muted", [4, 3]], ["val", "VAL", "muted", [4, 3]],
  ];

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
    this.panes();
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
        this.spotShown = on;
        this.candles.applyOptions({});
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

  panes() {
    const { content, rows, plot } = this;
    this.chart = LightweightCharts.createChart(plot, this.options());
    const quiet = { lastValueVisible: false, priceLineVisible: false };
    const times = Array.from(rows.dates, (time) => time / 1000);
    const { palette } = content;
    this.candles = this.chart.addSeries(LightweightCharts.CandlestickSeries, {
      ...quiet, upColor: palette.up, downColor: palette.down, borderVisible: false,
      wickUpColor: palette.up, wickDownColor: palette.down, priceFormat: this.priceFormat(),
    }, 0);
    this.candles.setData(times.map((time, row) => ({ time, open: rows.open[row],
      high: rows.high[row], low: rows.low[row], close: rows.close[row] })));
    // The other panes have layers alone: one point, which the scale needs, on the last candle.
    const pane = (at, format) => {
      const series = this.chart.addSeries(LightweightCharts.LineSeries, { ...quiet,
        lineVisible: false, crosshairMarkerVisible: false,
        priceFormat: { type: "custom", minMove: 1e-4, formatter: PerpData.number, ...format } }, at);
      series.setData([{ time: times[times.length - 1], value: 0 }]);
      return series;
    };
    this.priceLayers();
    this.marks(times);
    // The scale of z has its thresholds for marks.
    this.zLayers(pane(1, { tickmarksFormatter: (ticks) => ticks.map(() => "") }));
    this.columns(pane(2), rows.premium_pct, [palette.premium_positive, palette.premium_negative]);
    if (rows.funding) this.columns(pane(3), rows.funding, [palette.funding, palette.funding]);
    const shares = rows.funding ? [46, 25, 17, 12] : [50, 30, 20];
    const panes = this.chart.panes();
    panes.forEach((one, at) => one.setStretchFactor(shares[at]));
    const boxes = panes.map(() => this.make(this.root, "div", "legend"));
    this.legend = new PerpLegend(content, rows, boxes, this.candles.priceFormatter());
    this.legend.show(rows.count - 1);
    const all = content.small || this.still || rows.count <= PerpChart.OPENED;
    if (all) this.chart.timeScale().fitContent();
    else this.view(rows.count - PerpChart.OPENED, rows.count - 1);
  }

  options() {
    const { palette, small } = this.content;
    const line = { color: palette.guide, labelBackgroundColor: palette.guide };
    const { Normal } = LightweightCharts.CrosshairMode;
    return {
      autoSize: true,
      layout: { background: { color: palette.background }, textColor: palette.muted, fontSize: 11,
        fontFamily: "system-ui, sans-serif", attributionLogo: !small,
        panes: { separatorColor: palette.grid } },
      grid: { vertLines: { color: palette.grid }, horzLines: { color: palette.grid } },
      crosshair: { mode: Normal, vertLine: line, horzLine: line },
      rightPriceScale: { borderColor: palette.grid },
      timeScale: { borderColor: palette.grid, timeVisible: true, secondsVisible: false,
        minBarSpacing: 0.001, fixLeftEdge: true, fixRightEdge: true, enableConflation: true,
        tickMarkFormatter: PerpChart.tick },
      localization: { timeFormatter: (time) => `${PerpData.minute(time * 1000)} UTC` },
      handleScroll: { mouseWheel: !small, vertTouchDrag: false },
      handleScale: { mouseWheel: !small },
    };
  }

  // Year, month, day or time, always UTC: the library's own would follow the reader's clock changes.
  static tick(time, kind) {
    const [year, month, day, clock] = PerpData.minute(time * 1000).split(/[- ]/);
    const name = () => new Date(time * 1000).toLocaleString("en", { month: "short", timeZone: "UTC" });
    return [() => year, name, () => `${Number(day)} ${name()}`, () => clock, () => clock][kind]();
  }

  // As many decimals as the closes have, seven digits in all at most.
  priceFormat() {
    const { close, count } = this.rows;
    const digits = (value) => (String(value).split(".")[1] || "").length;
    const most = Math.max(...close.slice(0, 200).map(digits));
    const precision = Math.max(0, Math.min(most, 6 - Math.floor(Math.log10(close[count - 1]))));
    return { type: "price", precision, minMove: 10 ** -precision };
  }

  layer(series, draw, options) {
    series.attachPrimitive(new PerpLayer(this.rows.count, draw, options));
  }

  priceLayers() {
    const { rows, candles, content } = this;
    const { palette } = content;
    const { faint } = PerpData;
    const { extent, line, between, volume, level } = PerpDraw;
    const edge = faint(palette.band, 0.8);
    this.layer(candles, (view) => {
      if (rows.volume) volume(view, rows, [faint(palette.up, 0.35), faint(palette.down, 0.35)]);
      between(view, rows.bb_upper, rows.bb_lower, faint(palette.band, 0.07));
      line(view, rows.bb_upper, edge);
      line(view, rows.bb_lower, edge);
      line(view, rows.bb_middle, edge, { dash: [2, 3] });
    }, { zOrder: "bottom",
      range: (first, last) => extent([rows.bb_upper, rows.bb_lower], first, last) });
    const begins = (row) => (rows.dates[row] - PerpChart.MONDAY) % PerpChart.WEEK === 0;
    this.layer(candles, (view) => {
      if (this.spotShown) line(view, rows.spot_close, palette.text, { width: 1.2, dash: [3, 2] });
      for (const [name, text, color, dash] of PerpChart.LEVELS) {
        if (!rows[name]) continue;
        if (name.startsWith("vwap")) line(view, rows[name], palette[color], { dash, begins });
        else level(view, rows[name], palette[color], text, dash);
      }
      this.held(view);
    });
  }

  // A dotted line from where a trade was opened to where it was closed.
  held({ context, x, y, first, last, ratio }) {
    const { palette, trades } = this.content;
    context.lineWidth = 1.5 * ratio;
    context.setLineDash([2 * ratio, 3 * ratio]);
    for (const trade of trades || []) {
      const [begin, end] = [trade.rows[0], trade.rows[1]];
      if (end < first || begin > last) continue;
      context.strokeStyle = trade.profit > 0 ? palette.up : palette.down;
      context.beginPath();
      context.moveTo(x(begin), y(trade.entry));
      context.lineTo(x(end), y(trade.exit));
      context.stroke();
    }
    context.setLineDash([]);
  }

  // Entries and exits of trades; without trades, where the strategy would enter.
  marks(times) {
    const { rows, content } = this;
    const { palette, trades } = content;
    const arrow = (row, short, price) => ({ row, price, size: 1.3,
      color: short ? palette.short : palette.long, shape: short ? "arrowDown" : "arrowUp",
      position: short ? "atPriceTop" : "atPriceBottom" });
    const marks = [];
    for (const trade of trades || []) {
      trade.rows = [trade.opened, trade.closed].map((time) => PerpData.rowOf(rows, time));
      if (trade.rows[0] >= 0) marks.push(arrow(trade.rows[0], trade.side === "short", trade.entry));
      if (trade.closed < rows.dates[rows.count - 1] + content.step) {
        marks.push({ row: trade.rows[1], price: trade.exit, shape: "circle", size: 0.7,
          position: "atPriceMiddle", color: trade.profit > 0 ? palette.up : palette.down });
      }
    }
    const entry = content.reasons.indexOf("");
    if (!trades) {
      rows.noEntry.forEach((code, row) => {
        if (code !== entry) return;
        const short = rows.bias[row] < 0;
        marks.push(arrow(row, short, short ? rows.high[row] : rows.low[row]));
      });
    }
    marks.sort((one, other) => one.row - other.row);
    LightweightCharts.createSeriesMarkers(this.candles,
      marks.map(({ row, ...mark }) => ({ time: times[row], ...mark })));
  }

  zLayers(series) {
    const { rows, content } = this;
    const { palette, thresholds } = content;
    const { hot_z: hot, enter_z: enter, exit_z: exit } = thresholds;
    const { Dotted, Solid } = LightweightCharts.LineStyle;
    for (const [price, lineStyle] of [[enter, Dotted], [exit, Dotted], [0, Solid], [-exit, Dotted],
      [-enter, Dotted]]) {
      series.createPriceLine({ price, lineStyle, lineWidth: 1, color: palette.guide,
        axisLabelColor: palette.background, axisLabelTextColor: palette.muted, title: "" });
    }
    const shown = content.htf ? [rows.z, rows.htf_z] : [rows.z];
    const colors = new Map();
    for (let shade = 1; shade <= PerpData.SHADES; shade += 1) {
      const alpha = PerpChart.TINT * (shade / PerpData.SHADES);
      colors.set(-shade, PerpData.faint(palette.short, alpha));
      colors.set(shade, PerpData.faint(palette.long, alpha));
    }
    this.layer(series, (view) => PerpDraw.tint(view, rows.shade, (shade) => colors.get(shade)),
      { zOrder: "bottom", range: (first, last) => {
        const reach = Math.max(enter * 1.1, ...PerpDraw.extent(shown, first, last).map((z) => (
          Number.isFinite(z) ? Math.abs(z) : 0)));
        return [-reach, reach];
      } });
    this.layer(series, (view) => {
      if (content.htf) PerpDraw.line(view, rows.htf_z, palette.htf, { steps: true });
      // The line deepens with |z|: one hot colour above, the other below, the light one between.
      const gradient = view.context.createLinearGradient(0, view.y(hot), 0, view.y(-hot));
      gradient.addColorStop(0, palette.z_hot_short);
      gradient.addColorStop(0.5, palette.z_light);
      gradient.addColorStop(1, palette.z_hot_long);
      PerpDraw.line(view, rows.z, gradient, { width: 1.8 });
      if (!content.labels) return;
      const left = PerpDraw.flips(view, rows, palette.text);
      this.legend.show(this.legend.row, left ? "some flips have no label" : "");
    });
  }

  // A pane of columns from 0; where there is no premium, a tint.
  columns(series, values, colors) {
    const { rows, content } = this;
    const missing = PerpData.faint(content.palette.missing, 0.75);
    if (values === rows.premium_pct) {
      this.layer(series, (view) => PerpDraw.tint(view, rows.missing, () => missing),
        { zOrder: "bottom" });
    }
    series.createPriceLine({ price: 0, lineWidth: 1, color: content.palette.guide,
      lineStyle: LightweightCharts.LineStyle.Solid, axisLabelVisible: false });
    this.layer(series, (view) => PerpDraw.columns(view, values, colors), {
      range: (first, last) => {
        const [low, high] = PerpDraw.extent([values], first, last);
        return [Math.min(low, 0), Math.max(high, 0)];
      } });
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
    const { from, to } = this.chart.timeScale().getVisibleLogicalRange();
    const [first, last] = [Math.max(0, Math.ceil(from)), Math.min(count - 1, Math.floor(to))];
    const day = (row) => PerpData.minute(dates[row]).slice(0, 10);
    const merged = (to - from) * 0.5 > this.chart.timeScale().width() ? ", several candles a pixel" : "";
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
