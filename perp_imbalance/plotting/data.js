"use strict";
// The columns of a chart as typed arrays, decoded once, and how numbers and times are written.

const PerpData = (() => {
  // Steps of the tint between no bias and its full strength.
  const SHADES = 32;
  // How much of its full strength a bias has at z = 0; the rest deepens with |z|.
  const BASE = 0.2;

  function unpack(text, type) {
    if (Uint8Array.fromBase64) return new type(Uint8Array.fromBase64(text).buffer);
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
    return new type(bytes.buffer);
  }

  function table(content) {
    const rows = {};
    for (const [name, packed] of Object.entries(content.columns)) {
      rows[name] = unpack(packed, Float64Array);
    }
    rows.dates = unpack(content.dates, Float64Array);
    rows.bias = unpack(content.bias, Int8Array);
    rows.noEntry = unpack(content.no_entry, Uint16Array);
    rows.count = rows.dates.length;
    rows.missing = Uint8Array.from(rows.premium_pct, (value) => (Number.isFinite(value) ? 0 : 1));
    // The tint of each candle: its side as the sign, its strength from 1 to SHADES.
    rows.shade = Int8Array.from(rows.bias, (side, i) => {
      const heat = Math.min(Math.abs(rows.z[i]) / content.thresholds.hot_z, 1) || 0;
      return side * Math.round(SHADES * (BASE + (1 - BASE) * heat));
    });
    return rows;
  }

  // The row of the candle in which a time lies.
  function rowOf({ dates }, time) {
    let low = 0;
    let high = dates.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (dates[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  const percents = new Intl.NumberFormat("en-US", { signDisplay: "exceptZero",
    maximumSignificantDigits: 4, maximumFractionDigits: 4, roundingPriority: "lessPrecision" });
  const volumes = new Intl.NumberFormat("en-US", { notation: "compact",
    maximumSignificantDigits: 4 });
  const number = (value) => (Number.isFinite(value)
    ? percents.format(value).replace("-", "−") : "none");
  const minute = (time) => new Date(time).toISOString().slice(0, 16).replace("T", " ");

  function faint(color, alpha) {
    const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    return `rgba(${parts.join(",")},${alpha})`;
  }

  return { SHADES, table, rowOf, number, volume: volumes.format, minute, faint };
})();
