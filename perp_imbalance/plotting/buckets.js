"use strict";
// From columns to what is drawn: candles one by one, or in buckets where more are visible than fit.

const PerpBuckets = (() => {
  const SIZES = [1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 120, 168, 336, 720, 1440, 2880, 5760, 11520];
  const SHORT = -1;
  const LONG = 1;
  // How much of a tint's full strength a bias has at z = 0; the rest deepens with |z|.
  const TINT_BASE = 0.2;

  function unpack(text, type) {
    let bytes;
    if (Uint8Array.fromBase64) {
      bytes = Uint8Array.fromBase64(text);
    } else {
      const raw = atob(text);
      bytes = new Uint8Array(raw.length);
      for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
    }
    return new type(bytes.buffer);
  }

  function table(content) {
    const columns = {};
    for (const [name, packed] of Object.entries(content.columns)) {
      columns[name] = unpack(packed, Float64Array);
    }
    return {
      ...columns,
      dates: unpack(content.dates, Float64Array),
      bias: unpack(content.bias, Int8Array),
      noEntry: unpack(content.no_entry, Uint16Array),
      reasons: content.reasons,
      entryCode: content.reasons.indexOf(""),
      hotZ: content.thresholds.hot_z,
    };
  }

  // The first row that opens at a time or later.
  function rowAt(dates, time) {
    let low = 0;
    let high = dates.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (dates[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // How many candles make one that is drawn: a number that people count candles in.
  function sizeFor(candles, places) {
    return SIZES.find((size) => candles / size <= places) || Math.ceil(candles / places);
  }

  function heat(z, hotZ) {
    return Number.isFinite(z) ? Math.min(Math.abs(z) / hotZ, 1) : 0;
  }

  // One bucket: rows from first up to end, that excluded.
  function bucket(rows, first, end) {
    const found = {
      first, end,
      x: (rows.dates[first] + rows.dates[end - 1]) / 2,
      open: rows.open[first], close: rows.close[end - 1],
      high: -Infinity, low: Infinity,
      zMin: NaN, zMax: NaN, zRising: true, zPeak: NaN,
      premiumMax: NaN, premiumMin: NaN,
      htf: NaN, funding: 0, missing: 0, tint: 0, short: 0, long: 0, entries: [],
    };
    let short = 0;
    let long = 0;
    let lowest = first;
    let highest = first;
    for (let i = first; i < end; i += 1) {
      found.high = Math.max(found.high, rows.high[i]);
      found.low = Math.min(found.low, rows.low[i]);
      const z = rows.z[i];
      if (Number.isFinite(z)) {
        if (!(z >= found.zMin)) { found.zMin = z; lowest = i; }
        if (!(z <= found.zMax)) { found.zMax = z; highest = i; }
      }
      const premium = rows.premium_pct[i];
      if (Number.isFinite(premium)) {
        if (!(premium <= found.premiumMax)) found.premiumMax = premium;
        if (!(premium >= found.premiumMin)) found.premiumMin = premium;
      } else {
        found.missing += 1;
      }
      const strength = TINT_BASE + (1 - TINT_BASE) * heat(z, rows.hotZ);
      if (rows.bias[i] === SHORT) { found.short += 1; short += strength; }
      if (rows.bias[i] === LONG) { found.long += 1; long += strength; }
      if (Number.isFinite(rows.htf_z[i])) found.htf = rows.htf_z[i];
      if (rows.funding) found.funding += rows.funding[i];
      if (rows.noEntry[i] === rows.entryCode) found.entries.push(i);
    }
    found.zRising = lowest <= highest;
    found.zPeak = Math.abs(found.zMin) > Math.abs(found.zMax) ? found.zMin : found.zMax;
    found.tint = (short > long ? -short : long) / (end - first);
    return found;
  }

  // Buckets that cover times from start to end; they begin at the same rows however one pans.
  function cut(rows, start, end, size) {
    const from = Math.floor(rowAt(rows.dates, start) / size) * size;
    const to = Math.min(rowAt(rows.dates, end) + size, rows.dates.length);
    const found = [];
    for (let i = from; i < to; i += size) {
      found.push(bucket(rows, i, Math.min(i + size, rows.dates.length)));
    }
    return found;
  }

  return { SHORT, LONG, table, rowAt, sizeFor, heat, cut };
})();
