"use strict";
// What Plotly is told to draw of some buckets.

const MANY_MARKS = 150;

class PerpDrawing {
  constructor(content, rows, buckets, size, view, [widthInPixels, heightInPixels]) {
    Object.assign(this, { content, rows, buckets, size, view, widthInPixels, heightInPixels });
    const { MARGIN } = PerpDrawing;
    this.seen = buckets.filter(({ x }) => x >= view[0] && x <= view[1]);
    this.palette = content.palette;
    this.x = buckets.map(({ x }) => x);
    this.width = size * content.step;
    this.tradesOf = this.tradesByBucket();
    this.panels = rows.funding
      ? [[0.54, 1], [0.27, 0.52], [0.11, 0.25], [0, 0.09]] : [[0.48, 1], [0.185, 0.46], [0, 0.165]];
    this.priceRange = this.limits(this.seen.flatMap(({ high, low, end }) => [
      high, low, rows.bb_upper[end - 1], rows.bb_lower[end - 1]]), 0.04, false);
    const [low, high] = this.panels[0];
    const pixels = (heightInPixels - MARGIN.t - MARGIN.b) * (high - low);
    this.timePerPixel = (view[1] - view[0]) / (widthInPixels - MARGIN.l - MARGIN.r);
    this.pricePerPixel = (this.priceRange[1] - this.priceRange[0]) / pixels;
  }

  static MARGIN = { l: 6, r: 58, t: 6, b: 40 };

  static TINT = 0.62;

  static DOWN = [[-1, 1], [1, 1], [0, -0.8], [-1, 1]];

  static UP = [[-1, -1], [0, 0.8], [1, -1], [-1, -1]];

  static DIAMOND = [[-1, 0], [0, 1], [1, 0], [0, -1], [-1, 0]];

  static faint(color, alpha) {
    const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    return `rgba(${parts.join(",")},${alpha})`;
  }

  traces() {
    const found = [...this.price(), ...this.zLine(), ...this.premium()];
    if (this.rows.funding) found.push(this.bars("funding", "y4", this.palette.funding,
      ({ funding }) => funding || NaN));
    if (this.content.labels) found.push(this.flips());
    return [...found, ...this.readings()];
  }

  price() {
    const { palette, rows } = this;
    const band = (name, more) => ({
      type: "scatter", mode: "lines", name, x: this.x, hoverinfo: "skip",
      y: this.buckets.map(({ end }) => rows[name][end - 1]),
      line: { color: PerpDrawing.faint(palette.band, 0.7), width: 1 }, ...more,
    });
    return [
      band("bb_upper"),
      band("bb_lower", { fill: "tonexty", fillcolor: PerpDrawing.faint(palette.band, 0.07) }),
      band("bb_middle", { line: { color: PerpDrawing.faint(palette.band, 0.7), width: 1,
        dash: "dot" } }),
      this.candles("candles down", palette.down, ({ open, close }) => close < open),
      this.candles("candles up", palette.up, ({ open, close }) => close >= open),
      ...(this.content.trades ? this.tradeMarks() : this.signalMarks()),
    ];
  }

  // Everything of one colour as the inside of one path: to Plotly, candles and bars are an element
  // each, so is each piece of a line with gaps, and thousands of those do not follow the pointer.
  // From shape to shape the path runs along a base and straight up and down: that has no inside.
  inside(name, yaxis, color, base, shapes) {
    const x = [];
    const y = [];
    for (const shape of shapes) {
      const [from] = shape[0];
      x.push(from);
      y.push(base);
      for (const [right, up] of shape) {
        x.push(right);
        y.push(up);
      }
      x.push(from);
      y.push(base);
    }
    return { type: "scatter", mode: "none", name, yaxis, x, y, hoverinfo: "skip",
      fill: "toself", fillcolor: color };
  }

  box(x, width, low, high) {
    const [left, right] = [x - width / 2, x + width / 2];
    return [[left, low], [left, high], [right, high], [right, low], [left, low]];
  }

  candles(name, color, wanted) {
    const shapes = this.buckets.filter(wanted).flatMap(({ x, open, high, low, close }) => {
      // A candle that closed where it opened is still a line to see.
      const least = Math.max(this.pricePerPixel - Math.abs(close - open), 0) / 2;
      const body = Math.max(this.width * 0.68, this.timePerPixel);
      return [
        this.box(x, this.timePerPixel, low, high),
        this.box(x, body, Math.min(open, close) - least, Math.max(open, close) + least),
      ];
    });
    return this.inside(name, "y", color, this.priceRange[0], shapes);
  }

  // Marks of a size in pixels, less where there are many; their corners are shares of it.
  marks(name, points, corners, color, full) {
    const size = points.length > MANY_MARKS ? full / 2 : full;
    const shapes = points.map(([x, y]) => corners.map(([right, up]) => [
      x + right * size * this.timePerPixel, y + up * size * this.pricePerPixel]));
    return this.inside(name, "y", color, this.priceRange[0], shapes);
  }

  // Without trades: where the strategy would enter.
  signalMarks() {
    const { rows, palette } = this;
    const points = (side) => this.buckets.flatMap((bucket) => {
      const row = bucket.entries.find((i) => rows.bias[i] === side);
      return row === undefined ? [] : [[bucket.x, rows.close[row]]];
    });
    return [
      this.marks("entry short", points(PerpBuckets.SHORT), PerpDrawing.DOWN, palette.short, 6),
      this.marks("entry long", points(PerpBuckets.LONG), PerpDrawing.UP, palette.long, 6),
    ];
  }

  tradesByBucket() {
    const found = new Map();
    if (!this.content.trades || !this.buckets.length) return found;
    const { dates } = this.rows;
    const first = this.buckets[0].first / this.size;
    const begin = dates[this.buckets[0].first];
    const end = dates[this.buckets[this.buckets.length - 1].end - 1] + this.content.step;
    for (const trade of this.content.trades) {
      for (const kind of ["opened", "closed"]) {
        if (trade[kind] < begin || trade[kind] >= end) continue;
        const row = PerpBuckets.rowAt(dates, trade[kind] + 1) - 1;
        const bucket = this.buckets[Math.floor(row / this.size) - first];
        if (!found.has(bucket)) found.set(bucket, { opened: [], closed: [] });
        found.get(bucket)[kind].push(trade);
      }
    }
    return found;
  }

  tradeMarks() {
    const { palette } = this;
    const points = { short: [], long: [], won: [], lost: [] };
    for (const [{ x }, { opened, closed }] of this.tradesOf) {
      for (const side of ["short", "long"]) {
        const first = opened.find((trade) => trade.side === side);
        if (first) points[side].push([x, first.entry]);
      }
      const won = closed.find(({ profit }) => profit > 0);
      const lost = closed.find(({ profit }) => !(profit > 0));
      if (won) points.won.push([x, won.exit]);
      if (lost) points.lost.push([x, lost.exit]);
    }
    const held = (name, color, wanted) => {
      const lines = { x: [], y: [] };
      if (this.size === 1) {
        const [start, end] = [this.buckets[0].x, this.buckets[this.buckets.length - 1].x];
        for (const trade of this.content.trades) {
          if (wanted(trade) && trade.closed >= start && trade.opened <= end) {
            lines.x.push(trade.opened, trade.closed, null);
            lines.y.push(trade.entry, trade.exit, null);
          }
        }
      }
      return { type: "scatter", mode: "lines", name, hoverinfo: "skip", ...lines,
        line: { color, width: 1.5, dash: "dot" } };
    };
    return [
      held("held, won", palette.up, ({ profit }) => profit > 0),
      held("held, lost", palette.down, ({ profit }) => !(profit > 0)),
      this.marks("exit, won", points.won, PerpDrawing.DIAMOND, palette.up, 5),
      this.marks("exit, lost", points.lost, PerpDrawing.DIAMOND, palette.down, 5),
      this.marks("entry short", points.short, PerpDrawing.DOWN, palette.short, 6),
      this.marks("entry long", points.long, PerpDrawing.UP, palette.long, 6),
    ];
  }

  // A tint is a picture of one pixel a bucket, stretched over its panel: however many there are.
  cells(yref, colorOf) {
    const canvas = document.createElement("canvas");
    canvas.width = this.buckets.length;
    canvas.height = 1;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, 1);
    this.buckets.forEach((bucket, at) => {
      const [color, alpha] = colorOf(bucket);
      for (const part of [0, 1, 2]) {
        pixels.data[4 * at + part] = parseInt(color.slice(1 + 2 * part, 3 + 2 * part), 16);
      }
      pixels.data[4 * at + 3] = Math.round(255 * alpha);
    });
    context.putImageData(pixels, 0, 0);
    return {
      source: canvas.toDataURL(), xref: "x", yref: `${yref} domain`, sizing: "stretch",
      x: this.x[0] - this.width / 2, sizex: this.x.length * this.width, y: 1, sizey: 1,
      layer: "below", opacity: 1,
    };
  }

  images() {
    const { short, long, missing } = this.palette;
    return [
      this.cells("y2", ({ tint }) => [tint < 0 ? short : long, Math.abs(tint) * PerpDrawing.TINT]),
      this.cells("y3", (bucket) => [missing, 0.75 * (bucket.missing / (bucket.end - bucket.first))]),
    ];
  }

  // One line; its colour, a gradient over the panel, is set by chart.js.
  zLine() {
    const line = { x: [], y: [] };
    for (const { x, zMin, zMax, zRising } of this.buckets) {
      const whole = this.size === 1 || !Number.isFinite(zMin);
      line.x.push(...(whole ? [x] : [x - this.width / 4, x + this.width / 4]));
      line.y.push(...(whole ? [zMin] : zRising ? [zMin, zMax] : [zMax, zMin]));
    }
    const z = { type: "scatter", mode: "lines", name: "z", uid: "z", yaxis: "y2", ...line,
      hoverinfo: "skip", line: { width: 1.8, color: this.palette.z_light } };
    if (!this.content.htf) return [z];
    const htf = { type: "scatter", mode: "lines", name: "htf_z", yaxis: "y2", hoverinfo: "skip",
      x: this.x, y: this.buckets.map((bucket) => bucket.htf),
      line: { color: this.palette.htf, width: 1, shape: "hv" } };
    return [htf, z];
  }

  // Where on the z panel, in pixels from its top, its gradient begins and ends: at ±hot_z.
  zGradient() {
    const [low, high] = this.panels[1];
    const { MARGIN } = PerpDrawing;
    const pixels = (this.heightInPixels - MARGIN.t - MARGIN.b) * (high - low);
    const share = this.content.thresholds.hot_z / this.reachOfZ() / 2;
    return [pixels * (0.5 - share), pixels * (0.5 + share)];
  }

  bars(name, yaxis, color, value) {
    const shapes = this.buckets.filter((bucket) => Number.isFinite(value(bucket)))
      .map((bucket) => this.box(bucket.x, this.width * 0.8, 0, value(bucket)));
    return this.inside(name, yaxis, color, 0, shapes);
  }

  premium() {
    const { palette } = this;
    return [
      this.bars("premium above 0", "y3", palette.premium_positive,
        ({ premiumMax }) => (premiumMax >= 0 ? premiumMax : NaN)),
      this.bars("premium below 0", "y3", palette.premium_negative,
        ({ premiumMin }) => (premiumMin < 0 ? premiumMin : NaN)),
    ];
  }

  // Labels of flips: entries into a bias at the panel's edge, its end a line further in; where two
  // would cover each other only the first, until one zooms in.
  flips() {
    const { bias } = this.rows;
    const found = { x: [], y: [], text: [], textposition: [] };
    const reach = this.reachOfZ();
    const least = this.timePerPixel * 40;
    const last = {};
    let flips = 0;
    for (const { x, first, end } of this.seen) {
      for (let i = Math.max(first, 1); i < end; i += 1) {
        if (bias[i] === bias[i - 1]) continue;
        flips += 1;
        const side = bias[i] || bias[i - 1];
        const y = -side * reach * (bias[i] ? 0.92 : 0.78);
        if (x - last[y] < least) continue;
        last[y] = x;
        found.x.push(x);
        found.y.push(y);
        // At the edge it would be cut.
        const atEdge = x - this.view[0] < least / 2;
        found.textposition.push(atEdge ? "middle right" : "middle center");
        found.text.push({ "-1": "SHORT", 0: "exit", 1: "LONG" }[bias[i]]);
      }
    }
    this.labelsLeftOut = flips > found.x.length;
    // Where most would be left out, the few that stay would say nothing.
    if (flips > 2 * found.x.length) for (const values of Object.values(found)) values.length = 0;
    return {
      type: "scatter", mode: "text", name: "flips", yaxis: "y2", hoverinfo: "skip", ...found,
      textfont: { size: 10, color: this.palette.text }, cliponaxis: true,
    };
  }

  // Nothing to see: what the pointer meets in each panel, with the text that is shown there.
  readings() {
    const { seen } = this;
    const x = seen.map((bucket) => bucket.x);
    const text = seen.map((bucket) => PerpReading.text(this, bucket));
    const reading = (yaxis, y) => ({
      type: "scatter", mode: "none", name: `reading ${yaxis}`, yaxis, x, text,
      y: y.map((value) => (Number.isFinite(value) ? value : 0)),
      hovertemplate: "%{text}<extra></extra>",
    });
    const found = [
      reading("y", seen.map(({ close }) => close)),
      reading("y2", seen.map(({ zPeak }) => zPeak)),
      reading("y3", seen.map(({ premiumMax }) => premiumMax)),
    ];
    if (this.rows.funding) found.push(reading("y4", seen.map(({ funding }) => funding)));
    return found;
  }

  reachOfZ() {
    const { enter_z: enterZ } = this.content.thresholds;
    let reach = enterZ * 1.1;
    for (const { zMin, zMax, htf } of this.seen) {
      for (const z of [zMin, zMax, this.content.htf ? htf : NaN]) {
        if (Math.abs(z) > reach) reach = Math.abs(z);
      }
    }
    return reach * 1.12;
  }

  // The limits of a panel: what is visible, with some air.
  limits(values, air, zero) {
    const finite = values.filter(Number.isFinite);
    if (zero) finite.push(0);
    if (!finite.length) return [-1, 1];
    const low = Math.min(...finite);
    const high = Math.max(...finite);
    const more = (high - low || Math.abs(high) || 1) * air;
    return [low - more, high + more];
  }

  layout() {
    const { palette, seen, rows, content, view } = this;
    const { widthInPixels: width, heightInPixels: height } = this;
    const { enter_z: enterZ, exit_z: exitZ } = content.thresholds;
    const { panels } = this;
    const axis = (domain, range, more) => ({
      domain, range, fixedrange: true, side: "right", gridcolor: palette.grid, zeroline: false,
      linecolor: palette.grid, tickcolor: palette.grid, color: palette.muted, ...more,
    });
    const reach = this.reachOfZ();
    const premiums = seen.flatMap(({ premiumMax, premiumMin }) => [premiumMax, premiumMin]);
    const line = (yref, y, dash, wide) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, yref, y0: y, y1: y, layer: "between",
      line: { color: palette.guide, width: wide, dash },
    });
    const guides = [enterZ, exitZ, -exitZ, -enterZ].map((y) => line("y2", y, "dot", 1.2));
    const title = (text, domain) => ({
      text: `<b>${text}</b>`, xref: "paper", x: 0.004, xanchor: "left", yref: "paper",
      y: domain[1], yanchor: "top", showarrow: false, font: { size: 11, color: palette.text },
      bgcolor: PerpDrawing.faint(palette.background, 0.6),
    });
    const titles = ["price, Bollinger bands", "z", "premium, %", "funding, %"];
    return {
      width, height, showlegend: false, dragmode: "pan", hovermode: "x",
      hoverdistance: -1, margin: PerpDrawing.MARGIN, separators: ".,",
      paper_bgcolor: palette.background, plot_bgcolor: palette.background,
      font: { family: "system-ui, sans-serif", size: 11, color: palette.text },
      hoverlabel: { align: "left", bgcolor: palette.background, bordercolor: palette.muted,
        font: { size: 12, color: palette.text, family: "system-ui, sans-serif" } },
      xaxis: {
        type: "date", range: [...view], anchor: rows.funding ? "y4" : "y3",
        gridcolor: palette.grid, color: palette.muted, linecolor: palette.grid,
        rangeslider: { visible: false }, hoverformat: "%Y-%m-%d %H:%M", nticks: width / 110,
        showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "solid",
        spikecolor: palette.guide, spikesnap: "hovered data",
      },
      yaxis: axis(panels[0], this.priceRange),
      yaxis2: axis(panels[1], [-reach, reach], { showgrid: false,
        tickvals: [-enterZ, -exitZ, 0, exitZ, enterZ],
        ticktext: [-enterZ, -exitZ, 0, exitZ, enterZ].map((z) => `${z > 0 ? "+" : ""}${z}`
          .replace("-", "−")) }),
      yaxis3: axis(panels[2], this.limits(premiums, 0.08, true), { nticks: 5 }),
      ...(rows.funding && { yaxis4: axis(panels[3],
        this.limits(seen.map(({ funding }) => funding), 0.1, true), { nticks: 3 }) }),
      shapes: [...guides, line("y2", 0, "solid", 1), line("y3", 0, "dash", 1),
        ...(rows.funding ? [line("y4", 0, "solid", 1)] : [])],
      images: this.images(),
      annotations: panels.map((domain, at) => title(titles[at], domain)),
    };
  }
}
