"use strict";
// What is said of a candle, or of a bucket of candles, under the pointer.

const PerpReading = (() => {
  const BIAS = { "-1": "SHORT bias", 0: "no bias", 1: "LONG bias" };
  const MOST = 4;

  const number = (value, digits) => (Number.isFinite(value)
    ? `${value > 0 ? "+" : ""}${value.toFixed(digits)}`.replace("-", "−") : "none");
  const prices = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 10 });
  const price = (value) => prices.format(value);
  const time = (at) => new Date(at).toISOString().slice(0, 16).replace("T", " ");
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");

  function trades({ opened, closed }) {
    const said = [
      ...opened.map((trade) => `<b>opened ${trade.side}</b> at ${price(trade.entry)}, `
        + plain(trade.tag)),
      ...closed.map((trade) => `<b>closed ${trade.side}</b> at ${price(trade.exit)}, `
        + `${plain(trade.reason)}: <b>${number(trade.profit * 100, 2)} %</b>, `
        + `${number(trade.amount, 2)} (${plain(trade.tag)})`),
    ];
    return said.length <= MOST ? said
      : [...said.slice(0, MOST), `… and ${said.length - MOST} more`];
  }

  function candle({ rows, content }, i) {
    const bias = rows.bias[i];
    const reason = rows.reasons[rows.noEntry[i]];
    const known = Number.isFinite(rows.premium_pct[i]);
    const beside = Number.isFinite(rows.spot_close[i])
      ? (known ? ` against ${content.source}` : "") : `, no fresh ${content.source} price`;
    const said = [
      `<b>${time(rows.dates[i])}</b> UTC`,
      `open ${price(rows.open[i])}, high ${price(rows.high[i])}, low ${price(rows.low[i])}, `
        + `close <b>${price(rows.close[i])}</b>`,
      `premium <b>${number(rows.premium_pct[i], 4)}${known ? " %" : ""}</b>${beside}`,
      `z <b>${number(rows.z[i], 3)}</b>`
        + (content.htf ? `, z of ${content.htf} ${number(rows.htf_z[i], 3)}` : ""),
    ];
    if (rows.funding && rows.funding[i]) said.push(`funding ${number(rows.funding[i], 4)} %`);
    said.push(`<b>${BIAS[bias]}</b>`);
    if (bias) said.push(reason ? `no entry: ${plain(reason)}` : "<b>entry</b>");
    return said;
  }

  function several({ rows, content }, bucket) {
    const count = bucket.end - bucket.first;
    return [
      `<b>${time(rows.dates[bucket.first])}</b> UTC, ${count} candles`,
      `open ${price(bucket.open)}, high ${price(bucket.high)}, low ${price(bucket.low)}, `
        + `close <b>${price(bucket.close)}</b>`,
      `premium from ${number(bucket.premiumMin, 4)} to ${number(bucket.premiumMax, 4)} %`
        + (bucket.missing ? `, ${bucket.missing} without` : ""),
      `z from ${number(bucket.zMin, 3)} to ${number(bucket.zMax, 3)}`,
      ...(content.htf ? [`z of ${content.htf} ${number(bucket.htf, 3)}`] : []),
      ...(rows.funding ? [`funding ${number(bucket.funding, 4)} %`] : []),
      `SHORT bias on ${bucket.short}, LONG bias on ${bucket.long}, ${bucket.entries.length} entries`,
    ];
  }

  function text(drawing, bucket) {
    const said = drawing.size === 1 ? candle(drawing, bucket.first) : several(drawing, bucket);
    const held = drawing.tradesOf.get(bucket);
    return [...said, ...(held ? trades(held) : [])].join("<br>");
  }

  return { text };
})();
