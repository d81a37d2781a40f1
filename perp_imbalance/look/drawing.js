"use strict";
// What Plotly is told to draw of some buckets.

class PerpDrawing {
  constructor(content, rows, buckets, seen, size) {
    Object.assign(this, { content, rows, buckets, seen, size });
    this.palette = content.palette;
    this.x = buckets.map(({ x }) => x);
    this.width = size * content.step;
    this.tradesOf = this.tradesByBucket();
  }

  static LEVELS = 8;

  static TINT = 0.62;

  static mix(from, to, share) {
    const part = (color, at) => parseInt(color.slice(at, at + 2), 16);
    const mixed = [1, 3, 5].map((at) => Math.round(part(from, at) * (1 - share)
      + part(to, at) * share));
    return `rgb(${mixed.join(",")})`;
  }

  static faint(color, alpha) {
    const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    return `rgba(${parts.join(",")},${alpha})`;
  }

  traces() {
    const found = [...this.price(), this.tint(), ...this.zLine(), ...this.premium()];
    if (this.rows.funding) found.push(this.bars("funding", "y4", this.palette.funding,
      ({ funding }) => funding || null));
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
    const side = (color) => ({ line: { color, width: 1 }, fillcolor: color });
    const pick = (name) => this.buckets.map((bucket) => bucket[name]);
    return [
      band("bb_upper"),
      band("bb_lower", { fill: "tonexty", fillcolor: PerpDrawing.faint(palette.band, 0.07) }),
      band("bb_middle", { line: { color: PerpDrawing.faint(palette.band, 0.7), width: 1,
        dash: "dot" } }),
      {
        type: "candlestick", name: "candles", x: this.x, hoverinfo: "skip", whiskerwidth: 0,
        open: pick("open"), high: pick("high"), low: pick("low"), close: pick("close"),
        increasing: side(palette.up), decreasing: side(palette.down),
      },
      ...(this.content.trades ? this.tradeMarks() : this.signalMarks()),
    ];
  }

  marks(name, points, symbol, color, more) {
    return {
      type: "scatter", mode: "markers", name, hoverinfo: "skip",
      x: points.map(([x]) => x), y: points.map(([, y]) => y),
      marker: { symbol, color, size: 11, line: { color: this.palette.background, width: 1 },
        ...more },
    };
  }

  // Without trades: where the strategy would enter.
  signalMarks() {
    const { rows, palette } = this;
    const points = (side) => this.buckets.flatMap((bucket) => {
      const row = bucket.entries.find((i) => rows.bias[i] === side);
      return row === undefined ? [] : [[bucket.x, rows.close[row]]];
    });
    return [
      this.marks("entry short", points(PerpBuckets.SHORT), "triangle-down", palette.short),
      this.marks("entry long", points(PerpBuckets.LONG), "triangle-up", palette.long),
    ];
  }

  tradesByBucket() {
    const found = new Map();
    if (!this.content.trades || !this.buckets.length) return found;
    const { dates } = this.rows;
    const place = (time) => {
      const row = PerpBuckets.rowAt(dates, time + 1) - 1;
      const at = Math.floor(row / this.size) - Math.floor(this.buckets[0].first / this.size);
      return row < 0 || time >= dates[dates.length - 1] + this.content.step ? -1 : at;
    };
    for (const trade of this.content.trades) {
      for (const kind of ["opened", "closed"]) {
        const at = place(trade[kind]);
        if (at < 0 || at >= this.buckets.length) continue;
        if (!found.has(at)) found.set(at, { opened: [], closed: [] });
        found.get(at)[kind].push(trade);
      }
    }
    return found;
  }

  tradeMarks() {
    const { palette } = this;
    const points = { short: [], long: [], won: [], lost: [] };
    for (const [at, { opened, closed }] of this.tradesOf) {
      const { x } = this.buckets[at];
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
      this.marks("exit, won", points.won, "circle", palette.up, { size: 8 }),
      this.marks("exit, lost", points.lost, "circle", palette.down, { size: 8 }),
      this.marks("entry short", points.short, "triangle-down", palette.short),
      this.marks("entry long", points.long, "triangle-up", palette.long),
    ];
  }

  edges() {
    const half = this.width / 2;
    const last = this.x[this.x.length - 1];
    return [...this.x.map((x) => x - half), last + half];
  }

  // One row of cells across a panel: a picture, however many candles it tints.
  cells(name, yaxis, z, colorscale, limits) {
    return {
      type: "heatmap", name, yaxis, x: this.edges(), y: [-1e6, 1e6], z: [z], hoverinfo: "skip",
      zmin: limits[0], zmax: limits[1], colorscale, showscale: false,
    };
  }

  tint() {
    const { short, long } = this.palette;
    const { faint, TINT } = PerpDrawing;
    return this.cells("bias", "y2", this.buckets.map(({ tint }) => tint), [
      [0, faint(short, TINT)], [0.5, faint(short, 0)], [0.5, faint(long, 0)], [1, faint(long, TINT)],
    ], [-1, 1]);
  }

  // The line of z in traces by its colour: each part as deep as the deeper of its ends.
  zLine() {
    const { palette, rows } = this;
    const { LEVELS } = PerpDrawing;
    const points = [];
    for (const { x, zMin, zMax, zRising } of this.buckets) {
      if (this.size === 1 || !Number.isFinite(zMin)) {
        points.push([x, zMin]);
      } else {
        const ends = zRising ? [zMin, zMax] : [zMax, zMin];
        points.push([x - this.width / 4, ends[0]], [x + this.width / 4, ends[1]]);
      }
    }
    const found = new Map();
    for (let i = 1; i < points.length; i += 1) {
      const [from, to] = [points[i - 1], points[i]];
      if (!Number.isFinite(from[1]) || !Number.isFinite(to[1])) continue;
      const z = Math.abs(from[1]) > Math.abs(to[1]) ? from[1] : to[1];
      const level = Math.round(PerpBuckets.heat(z, rows.hotZ) * LEVELS) * Math.sign(z);
      if (!found.has(level)) found.set(level, { x: [], y: [], last: -1 });
      const line = found.get(level);
      if (line.last !== i - 1) {
        if (line.x.length) { line.x.push(from[0]); line.y.push(null); }
        line.x.push(from[0]);
        line.y.push(from[1]);
      }
      line.x.push(to[0]);
      line.y.push(to[1]);
      line.last = i;
    }
    const levels = [...found.keys()].sort((one, other) => Math.abs(one) - Math.abs(other));
    const lines = levels.map((level) => ({
      type: "scatter", mode: "lines", name: `z ${level}`, yaxis: "y2", hoverinfo: "skip",
      x: found.get(level).x, y: found.get(level).y,
      line: { width: 1.8, color: PerpDrawing.mix(palette.z_light,
        level > 0 ? palette.z_hot_short : palette.z_hot_long, Math.abs(level) / LEVELS) },
    }));
    if (!this.content.htf) return lines;
    const htf = { type: "scatter", mode: "lines", name: "htf_z", yaxis: "y2", hoverinfo: "skip",
      x: this.x, y: this.buckets.map((bucket) => bucket.htf),
      line: { color: palette.htf, width: 1, shape: "hv" } };
    return [htf, ...lines];
  }

  bars(name, yaxis, color, value) {
    return {
      type: "bar", name, yaxis, x: this.x, y: this.buckets.map(value), hoverinfo: "skip",
      width: this.width * 0.92, marker: { color, line: { width: 0 } },
    };
  }

  premium() {
    const { palette } = this;
    const share = this.buckets.map(({ missing, first, end }) => missing / (end - first));
    return [
      this.cells("missing", "y3", share, [[0, PerpDrawing.faint(palette.missing, 0)],
        [1, PerpDrawing.faint(palette.missing, 0.75)]], [0, 1]),
      this.bars("premium above 0", "y3", palette.premium_positive,
        ({ premiumMax }) => (premiumMax >= 0 ? premiumMax : null)),
      this.bars("premium below 0", "y3", palette.premium_negative,
        ({ premiumMin }) => (premiumMin < 0 ? premiumMin : null)),
    ];
  }

  flips() {
    const { bias } = this.rows;
    const found = { x: [], y: [], text: [] };
    const names = { "-1": "SHORT", 0: "exit", 1: "LONG" };
    const reach = this.reachOfZ() * 0.86;
    for (const bucket of this.seen) {
      for (let i = Math.max(bucket.first, 1); i < bucket.end; i += 1) {
        if (bias[i] === bias[i - 1]) continue;
        found.x.push(bucket.x);
        found.y.push(bias[i] === 1 || (bias[i] === 0 && bias[i - 1] === 1) ? -reach : reach);
        found.text.push(names[bias[i]]);
      }
    }
    const fit = found.x.length <= 60;
    return {
      type: "scatter", mode: "text", name: "flips", yaxis: "y2", hoverinfo: "skip",
      x: fit ? found.x : [], y: found.y, text: found.text,
      textfont: { size: 10, color: this.palette.text },
    };
  }

  // Nothing to see: what the pointer meets in each panel, with the text that is shown there.
  readings() {
    const text = this.buckets.map((bucket, at) => PerpReading.text(this, bucket, at));
    const reading = (yaxis, y) => ({
      type: "scatter", mode: "markers", name: `reading ${yaxis}`, yaxis, x: this.x, y,
      text, hovertemplate: "%{text}<extra></extra>", marker: { opacity: 0, size: 1 },
    });
    const or0 = (value) => (Number.isFinite(value) ? value : 0);
    const found = [
      reading("y", this.buckets.map(({ close }) => close)),
      reading("y2", this.buckets.map(({ zPeak }) => or0(zPeak))),
      reading("y3", this.buckets.map(({ premiumMax }) => or0(premiumMax))),
    ];
    if (this.rows.funding) found.push(reading("y4", this.buckets.map(({ funding }) => funding)));
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

  layout(view, width, height) {
    const { palette, seen, rows, content } = this;
    const { enter_z: enterZ, exit_z: exitZ } = content.thresholds;
    const panels = rows.funding
      ? [[0.54, 1], [0.27, 0.52], [0.11, 0.25], [0, 0.09]] : [[0.48, 1], [0.185, 0.46], [0, 0.165]];
    const axis = (domain, range, more) => ({
      domain, range, fixedrange: true, side: "right", gridcolor: palette.grid, zeroline: false,
      linecolor: palette.grid, tickcolor: palette.grid, color: palette.muted, ...more,
    });
    const reach = this.reachOfZ();
    const bands = seen.flatMap(({ end }) => [rows.bb_upper[end - 1], rows.bb_lower[end - 1]]);
    const prices = seen.flatMap(({ high, low }) => [high, low]);
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
      width, height, showlegend: false, barmode: "overlay", dragmode: "pan", hovermode: "x",
      hoverdistance: -1, margin: { l: 6, r: 58, t: 6, b: 28 }, separators: ".,",
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
      yaxis: axis(panels[0], this.limits([...prices, ...bands], 0.04, false)),
      yaxis2: axis(panels[1], [-reach, reach], { showgrid: false,
        tickvals: [-enterZ, -exitZ, 0, exitZ, enterZ],
        ticktext: [-enterZ, -exitZ, 0, exitZ, enterZ].map((z) => `${z > 0 ? "+" : ""}${z}`
          .replace("-", "−")) }),
      yaxis3: axis(panels[2], this.limits(premiums, 0.08, true), { nticks: 5 }),
      ...(rows.funding && { yaxis4: axis(panels[3],
        this.limits(seen.map(({ funding }) => funding), 0.1, true), { nticks: 3 }) }),
      shapes: [...guides, line("y2", 0, "solid", 1), line("y3", 0, "dash", 1),
        ...(rows.funding ? [line("y4", 0, "solid", 1)] : [])],
      annotations: panels.map((domain, at) => title(titles[at], domain)),
    };
  }
}
