"use strict";
// The legend of each pane: what the chart knows of the candle under the crosshair, as text.

class PerpLegend {
  static BIAS = { "-1": "SHORT bias", 0: "no bias", 1: "LONG bias" };

  // Trades of one candle that are told at most.
  static MOST = 4;

  constructor(content, rows, boxes, prices) {
    Object.assign(this, { content, rows, boxes, prices, row: -1, hint: "" });
    this.trades = new Map();
    for (const trade of content.trades || []) {
      for (const kind of ["opened", "closed"]) {
        const row = PerpData.rowOf(rows, trade[kind]);
        this.trades.set(row, [...(this.trades.get(row) || []), [kind, trade]]);
      }
    }
  }

  // Tell of a candle, and in a hint what is not drawn; parts are [name, value] or a text.
  show(row, hint = this.hint) {
    if (row === this.row && hint === this.hint) return;
    Object.assign(this, { row, hint });
    const panes = [this.price(row), this.z(row), this.premium(row), this.funding(row)];
    this.boxes.forEach((box, at) => {
      box.replaceChildren(...panes[at].map((part) => {
        const [name, value] = Array.isArray(part) ? part : [part];
        const item = document.createElement("span");
        item.append(name);
        if (value !== undefined) {
          item.append(" ");
          item.append(Object.assign(document.createElement("b"), { textContent: value }));
        }
        return item;
      }));
    });
  }

  price(row) {
    const { rows } = this;
    const price = (value) => this.prices.format(value);
    const parts = [
      ["UTC", PerpData.minute(rows.dates[row])],
      ["open", price(rows.open[row])], ["high", price(rows.high[row])],
      ["low", price(rows.low[row])], ["close", price(rows.close[row])],
    ];
    if (rows.volume) parts.push(["volume", PerpData.volume(rows.volume[row])]);
    const bands = [rows.bb_lower[row], rows.bb_upper[row]];
    if (bands.every(Number.isFinite)) parts.push(["bands", bands.map(price).join(" to ")]);
    if (Number.isFinite(rows.spot_close[row])) parts.push(["spot", price(rows.spot_close[row])]);
    for (const [name, text] of PerpChart.LEVELS) {
      if (rows[name] && Number.isFinite(rows[name][row])) parts.push([text, price(rows[name][row])]);
    }
    const told = (this.trades.get(row) || []).map(([kind, trade]) => (kind === "opened"
      ? [`opened ${trade.side} at ${price(trade.entry)},`, trade.tag]
      : [`closed ${trade.side} at ${price(trade.exit)}, ${trade.reason} (${trade.tag}):`,
        `${PerpData.number(trade.profit * 100)} %, ${PerpData.number(trade.amount)}`]));
    const { MOST } = PerpLegend;
    const more = told.length > MOST ? [`… and ${told.length - MOST} more`] : [];
    return [...parts, ...told.slice(0, MOST), ...more];
  }

  z(row) {
    const { rows, content, hint } = this;
    const bias = rows.bias[row];
    const reason = content.reasons[rows.noEntry[row]];
    const parts = [["z", PerpData.number(rows.z[row])]];
    if (content.htf) parts.push([`z of ${content.htf}`, PerpData.number(rows.htf_z[row])]);
    parts.push(["", PerpLegend.BIAS[bias]]);
    if (bias) parts.push(reason ? ["no entry:", reason] : ["", "entry"]);
    return hint ? [...parts, hint] : parts;
  }

  premium(row) {
    const { rows, content } = this;
    const fresh = Number.isFinite(rows.spot_close[row]);
    if (Number.isFinite(rows.premium_pct[row])) {
      const against = fresh ? `against ${content.source}` : `no fresh ${content.source} price`;
      return [["premium", `${PerpData.number(rows.premium_pct[row])} %`], against];
    }
    return [["premium", "none"], ...(fresh ? [] : [`no fresh ${content.source} price`])];
  }

  funding(row) {
    const paid = this.rows.funding ? this.rows.funding[row] : NaN;
    return [["funding", paid ? `${PerpData.number(paid)} %` : "none due"]];
  }
}
