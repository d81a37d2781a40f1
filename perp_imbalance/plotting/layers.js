"use strict";
// What the library has no series for, as its series primitives: drawn from typed arrays, of the
// visible candles only.

class PerpLayer {
  // draw(view) paints; range(first, last) returns [low, high], which the price scale then shows.
  constructor(count, draw, { zOrder = "normal", range = null } = {}) {
    this.count = count;
    this.range = range;
    const renderer = {
      draw: (target) => target.useBitmapCoordinateSpace((scope) => draw(this.view(scope))),
    };
    this.views = [{ zOrder: () => zOrder, renderer: () => renderer }];
  }

  attached({ chart, series }) {
    this.time = chart.timeScale();
    this.series = series;
  }

  paneViews() { return this.views; }

  autoscaleInfo(from, to) {
    const limits = this.range && this.range(Math.max(from, 0), Math.min(to, this.count - 1));
    return limits && limits[0] <= limits[1]
      ? { priceRange: { minValue: limits[0], maxValue: limits[1] } } : null;
  }

  // Pixels of the canvas: x of a row, y of a value, the width of a candle and the rows in view.
  view({ context, bitmapSize, horizontalPixelRatio, verticalPixelRatio }) {
    const zero = this.time.logicalToCoordinate(0);
    const step = this.time.logicalToCoordinate(1) - zero;
    const { from, to } = this.time.getVisibleLogicalRange();
    return {
      context, ...bitmapSize, ratio: horizontalPixelRatio, step: step * horizontalPixelRatio,
      x: (row) => (zero + row * step) * horizontalPixelRatio,
      y: (value) => this.series.priceToCoordinate(value) * verticalPixelRatio,
      first: Math.max(Math.floor(from) - 1, 0),
      last: Math.min(Math.ceil(to) + 1, this.count - 1),
    };
  }
}

const PerpDraw = (() => {
  // Visit the rows in view; of several on one pixel, the lowest and the highest value.
  function each({ first, last, step, x }, values, visit) {
    for (let row = first; row <= last;) {
      const begin = row;
      const pixel = Math.floor(x(row));
      let low = NaN;
      let high = NaN;
      do {
        const value = values[row];
        if (value < low || Number.isNaN(low)) low = value;
        if (value > high || Number.isNaN(high)) high = value;
        row += 1;
      } while (step < 1 && row <= last && Math.floor(x(row)) === pixel);
      visit(begin, low, high);
    }
  }

  // The lowest and the highest of some columns on rows.
  function extent(columns, first, last) {
    let low = Infinity;
    let high = -Infinity;
    for (const values of columns) {
      for (let row = first; row <= last; row += 1) {
        if (values[row] < low) low = values[row];
        if (values[row] > high) high = values[row];
      }
    }
    return [low, high];
  }

  function line(view, values, color, { width = 1, dash = [], steps = false,
    begins = () => false } = {}) {
    const { context, x, y, ratio } = view;
    let above = null;
    context.beginPath();
    each(view, values, (row, low, high) => {
      if (Number.isNaN(low)) { above = null; return; }
      const [across, down] = [x(row), y(low)];
      if (above === null || begins(row)) context.moveTo(across, down);
      else if (steps) context.lineTo(across, above);
      context.lineTo(across, down);
      above = high === low ? down : y(high);
      if (above !== down) context.lineTo(across, above);
    });
    context.strokeStyle = color;
    context.lineWidth = width * ratio;
    context.lineJoin = "round";
    context.setLineDash(dash.map((length) => length * ratio));
    context.stroke();
    context.setLineDash([]);
  }

  function between(view, upper, lower, color) {
    const { context, x, y, first, last } = view;
    const stride = Math.max(1, Math.floor(1 / view.step));
    const rows = [];
    for (let row = first; row <= last; row += stride) if (upper[row] >= lower[row]) rows.push(row);
    context.beginPath();
    for (const row of rows) context.lineTo(x(row), y(upper[row]));
    for (const row of rows.reverse()) context.lineTo(x(row), y(lower[row]));
    context.fillStyle = color;
    context.fill();
  }

  // Left edge and width of a candle's share of the pane, without a seam to its neighbours.
  function slot({ x, step }, row) {
    const left = Math.round(x(row) - step / 2);
    return [left, Math.max(Math.round(x(row) + step / 2) - left, 1)];
  }

  // Columns from 0, each sign in its own colour.
  function columns(view, values, colors) {
    const { context, x, y, step } = view;
    const base = Math.round(y(0));
    const width = Math.max(1, Math.floor(step * 0.8));
    each(view, values, (row, low, high) => {
      const left = Math.round(x(row) - width / 2);
      for (const [value, color] of [[Math.max(high, 0), colors[0]], [Math.min(low, 0), colors[1]]]) {
        if (!value) continue;
        const down = Math.round(y(value));
        context.fillStyle = color;
        context.fillRect(left, Math.min(down, base), width, Math.max(Math.abs(down - base), 1));
      }
    });
  }

  // The height of the pane behind each candle, in the colour of its shade; shade 0 has none.
  function tint(view, shades, colorOf) {
    each(view, shades, (row, low, high) => {
      const shade = -low > high ? low : high;
      if (!shade) return;
      const [left, width] = slot(view, row);
      view.context.fillStyle = colorOf(shade);
      view.context.fillRect(left, 0, width, view.height);
    });
  }

  // Volume along the bottom of the pane, the highest in view a sixth of it.
  function volume(view, rows, colors) {
    const { context, x, height, step } = view;
    const scale = height / 6 / (extent([rows.volume], view.first, view.last)[1] || 1);
    const width = Math.max(1, Math.floor(step * 0.8));
    each(view, rows.volume, (row, low, high) => {
      context.fillStyle = colors[rows.close[row] >= rows.open[row] ? 0 : 1];
      const tall = Math.round(high * scale) || 0;
      context.fillRect(Math.round(x(row) - width / 2), height - tall, width, tall);
    });
  }

  // A level is flat for a day or a week: a line for each run of one value, named at the last end.
  function level(view, values, color, name, dash) {
    const { context, first, last, x, y, ratio } = view;
    context.strokeStyle = color;
    context.lineWidth = ratio;
    context.setLineDash(dash.map((length) => length * ratio));
    context.beginPath();
    let tail = null;
    for (let row = first; row <= last;) {
      let end = row;
      while (end < last && values[end + 1] === values[row]) end += 1;
      if (Number.isFinite(values[row])) {
        tail = [Math.min(x(end), view.width), y(values[row])];
        context.moveTo(x(row) - view.step / 2, tail[1]);
        context.lineTo(x(end) + view.step / 2, tail[1]);
      }
      row = end + 1;
    }
    context.stroke();
    context.setLineDash([]);
    const named = view.named || (view.named = []);
    if (!tail || named.some((other) => Math.abs(other - tail[1]) < 12 * ratio)) return;
    named.push(tail[1]);
    context.font = `${10 * ratio}px system-ui, sans-serif`;
    context.textAlign = "right";
    context.fillStyle = color;
    context.fillText(name, tail[0] - 4 * ratio, tail[1] - 3 * ratio);
  }

  // Flips of the bias: a side at the pane's edge, its end a line further in. Where two would cover
  // each other the first is written; where most would be left out, none is. Returns how many are.
  function flips(view, rows, color) {
    const { context, x, height, ratio } = view;
    const found = [];
    const reached = {};
    let left = 0;
    for (let row = Math.max(view.first, 1); row <= view.last; row += 1) {
      const before = rows.bias[row - 1];
      if (rows.bias[row] === before) continue;
      const side = rows.bias[row] || before;
      const text = { "-1": "SHORT", 0: "exit", 1: "LONG" }[rows.bias[row]];
      const lane = side * (rows.bias[row] ? 2 : 1);
      if (x(row) - reached[lane] < 42 * ratio) { left += 1; continue; }
      reached[lane] = x(row);
      const edge = (rows.bias[row] ? 9 : 22) * ratio;
      found.push([text, Math.max(x(row), 20 * ratio), side < 0 ? edge + 32 * ratio : height - edge]);
    }
    if (left > found.length) return left + found.length;
    context.font = `${10 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = color;
    for (const [text, across, down] of found) context.fillText(text, across, down);
    return left;
  }

  return { extent, line, between, columns, tint, volume, level, flips };
})();
