"use strict";
// The library's chart: its panes, their series and layers, from the columns.

class PerpPanes {
  static TINT = 0.62;

  static QUIET = { lastValueVisible: false, priceLineVisible: false };

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

  // tell(hint) is called with what is not drawn of the labels.
  constructor(plot, content, rows, tell) {
    Object.assign(this, { content, rows, tell, spotShown: false });
    this.chart = LightweightCharts.createChart(plot, this.options());
    this.times = Array.from(rows.dates, (time) => time / 1000);
    const { palette } = content;
    this.candles = this.candleSeries();
    this.priceLayers();
    this.marks();
    // The scale of z has its thresholds for marks.
    this.zLayers(this.pane(1, { tickmarksFormatter: (ticks) => ticks.map(() => "") }));
    this.columns(this.pane(2), rows.premium_pct,
      [palette.premium_positive, palette.premium_negative]);
    if (rows.funding) this.columns(this.pane(3), rows.funding, [palette.funding, palette.funding]);
    const shares = rows.funding ? [46, 25, 17, 12] : [50, 30, 20];
    this.chart.panes().forEach((pane, at) => pane.setStretchFactor(shares[at]));
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
      rightPriceScale: { borderColor: palette.grid, entireTextOnly: true },
      timeScale: { borderColor: palette.grid, timeVisible: true, secondsVisible: false,
        minBarSpacing: 0.001, fixLeftEdge: true, fixRightEdge: true, enableConflation: true,
        tickMarkFormatter: PerpPanes.tick },
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
    const digits = (value) => {
      const [mantissa, power] = value.toExponential().split("e");
      return Math.max(0, Math.max(0, mantissa.length - 2) - power);
    };
    const most = Math.max(...close.slice(0, 200).map(digits));
    const precision = Math.max(0, Math.min(most, 6 - Math.floor(Math.log10(close[count - 1]))));
    return { type: "price", precision, minMove: 10 ** -precision };
  }

  candleSeries() {
    const { rows, times } = this;
    const { up, down } = this.content.palette;
    const candles = this.chart.addSeries(LightweightCharts.CandlestickSeries, {
      ...PerpPanes.QUIET, upColor: up, downColor: down, borderVisible: false,
      wickUpColor: up, wickDownColor: down, priceFormat: this.priceFormat() }, 0);
    candles.setData(times.map((time, row) => ({ time, open: rows.open[row], high: rows.high[row],
      low: rows.low[row], close: rows.close[row] })));
    return candles;
  }

  // A pane of layers alone: one point, which its scale needs, on the last candle.
  pane(at, format = {}) {
    const series = this.chart.addSeries(LightweightCharts.LineSeries, { ...PerpPanes.QUIET,
      lineVisible: false, crosshairMarkerVisible: false,
      priceFormat: { type: "custom", minMove: 1e-4, formatter: PerpData.number, ...format } }, at);
    series.setData([{ time: this.times[this.times.length - 1], value: 0 }]);
    return series;
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
    const begins = (row) => (rows.dates[row] - PerpPanes.MONDAY) % PerpPanes.WEEK === 0;
    this.layer(candles, (view) => {
      if (this.spotShown) line(view, rows.spot_close, palette.text, { width: 1.2, dash: [3, 2] });
      for (const [name, text, color, dash] of PerpPanes.LEVELS) {
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
    context.lineWidth = 2 * ratio;
    context.setLineDash([4 * ratio, 3 * ratio]);
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
  marks() {
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
      marks.map(({ row, ...mark }) => ({ time: this.times[row], ...mark })));
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
      const alpha = PerpPanes.TINT * (shade / PerpData.SHADES);
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
      this.tell(left ? "some flips have no label" : "");
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
}
