"""A bot that trades for real at the replay exchange: what one has, the other has too.

One life does as it is told, once under each ``defaultType``; another is the real strategy's, and
longer in ``make test-live``.
"""

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.freqtrade import SAMPLE_PAIRS
from support.live_cycle import (
    ABOUT,
    BTC,
    ETH,
    MONEY,
    NEXT_TO_NOTHING,
    PEPE,
    REFUSALS,
    SHARE,
    SYMBOLS,
    UNFILLED_MINUTES,
    WALLET,
    BotState,
    Cycle,
    funding,
    live_cycle,
    live_with,
    money,
)
from support.reliability import FULL, publish, table

from perp_imbalance.replay.testing.records import CANCELED, FINISHED

pytestmark = pytest.mark.freqtrade

# freqtrade rounds a profit to 8 digits, and adds up what is not rounded.
ROUNDED = 3e-8
# In a full run, long enough for positions that are closed in two parts.
CANDLES = 100 if FULL else 12
STEPS = {
    "entry": "BTC long: filled, then its stop placed",
    "part": f"ETH short: {SHARE:.0%} filled, the rest waits",
    "rest cancelled": f"{UNFILLED_MINUTES} minutes later: rest cancelled, stop placed",
    "refused": "1000PEPE long: refused with -2019, then with -2010",
    "entry after refusals": "1000PEPE long: taken at the next try",
    "restart": "bot stopped and started again, all signals still on",
    "funding": "funding time has passed",
    "stop": "1000PEPE: stop moved up, then reached",
    "exit": "BTC and ETH: exit signal, positions closed, stops cancelled",
}
CANDLE_PATHS = {"/fapi/v1/klines": "perp", "/api/v3/klines": "spot"}


@pytest.fixture(scope="module")
def lives(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cycle]:
    def folder(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    scripted = {name: live_cycle(sample_datadir, folder(name), name) for name in ("future", "swap")}
    strategy = live_with("Recorder", sample_datadir, folder("strategy"), CANDLES)
    return {**scripted, "strategy": strategy}


@pytest.fixture(scope="module")
def cycle(lives: dict[str, Cycle]) -> Cycle:
    return lives["future"]


def sides(seen: BotState) -> dict[str, tuple[Decimal, Decimal]]:
    """Return the signed amount of each pair at the exchange and in the database."""
    found = {}
    for pair in SAMPLE_PAIRS:
        trades = seen.trades[(seen.trades["pair"] == pair) & (seen.trades["is_open"] == 1)]
        amounts = trades["amount"].where(trades["is_short"] == 0, -trades["amount"])
        known = sum((Decimal(str(amount)) for amount in amounts), Decimal(0))
        found[pair] = seen.positions[pair], known
    return found


def assert_agree(seen: BotState) -> None:
    assert {pair: at for pair, (at, _) in sides(seen).items()} == {
        pair: known for pair, (_, known) in sides(seen).items()
    }


def test_an_entry_is_filled_and_its_stop_placed_at_the_exchange(cycle: Cycle) -> None:
    seen = cycle.steps["entry"]
    assert seen.positions[BTC] == seen.stops[BTC] > 0
    trade, algo = seen.trade(BTC), cycle.account.algos[0]
    assert algo.request.type == "STOP_MARKET"
    assert algo.request.reduce_only
    assert float(algo.request.trigger_price) == pytest.approx(trade["stop_loss"])
    assert cycle.account.position("BTCUSDT").isolated
    assert cycle.account.position("BTCUSDT").leverage == 1
    assert_agree(seen)


def test_partial_entry_is_booked_when_the_rest_is_cancelled(cycle: Cycle) -> None:
    seen = cycle.steps["rest cancelled"]
    assert seen.orders[-1] == ("ETHUSDT", "SELL", CANCELED)
    trade = seen.trade(ETH)
    assert trade["amount"] == pytest.approx(trade["amount_requested"] * SHARE, rel=0.01)
    assert seen.stops[ETH] == -seen.positions[ETH] > 0
    assert_agree(seen)


def test_partial_entry_has_no_stop_until_the_rest_ends(cycle: Cycle) -> None:
    """freqtrade's way; what ``unfilledtimeout`` says is how long it lasts."""
    seen = cycle.steps["part"]
    assert seen.positions[ETH] < 0
    assert seen.stops[ETH] == 0
    assert seen.trade(ETH)["amount"] == 0


def test_a_refused_order_opens_no_trade_and_is_named(cycle: Cycle) -> None:
    seen = cycle.steps["refused"]
    assert not seen.trades["pair"].eq(PEPE).any()
    assert seen.positions[PEPE] == 0
    said = " ".join(cycle.log.split())
    for words in REFUSALS.values():
        assert f"Unable to create trade for {PEPE}" in said
        assert words in said
    assert_agree(seen)
    assert cycle.steps["entry after refusals"].positions[PEPE] > 0


def test_restart_keeps_positions_and_opens_none_twice(cycle: Cycle) -> None:
    before, after = cycle.steps["entry after refusals"], cycle.steps["restart"]
    assert all(before.positions.values())
    assert after.positions == before.positions
    assert after.stops == before.stops
    assert after.orders == before.orders
    assert len(after.trades) == len(before.trades) == 3
    assert_agree(after)


def test_funding_fees_are_booked_as_the_exchange_charged_them(cycle: Cycle) -> None:
    seen = cycle.steps["funding"]
    for pair in SAMPLE_PAIRS:
        assert seen.trade(pair)["funding_fees"] != 0
    for pair in (BTC, ETH):
        paid = funding(cycle.account, pair)
        booked = cycle.steps["exit"].trade(pair)["funding_fees"]
        assert booked == pytest.approx(float(paid), abs=NEXT_TO_NOTHING)


def test_a_stop_at_the_exchange_closes_position_and_trade(cycle: Cycle) -> None:
    seen = cycle.steps["stop"]
    (algo,) = [algo for algo in cycle.account.algos if algo.status == FINISHED]
    assert algo.request.symbol == SYMBOLS[PEPE]
    assert algo.order is not None
    trade = seen.trade(PEPE)
    assert trade["exit_reason"] == "stoploss_on_exchange"
    assert trade["close_rate"] == pytest.approx(float(algo.order.average))
    moved = [a for a in cycle.account.algos if a.request.symbol == SYMBOLS[PEPE]]
    assert [a.status for a in moved[:-1]] == [CANCELED] * (len(moved) - 1)
    assert len(moved) >= 2
    assert_agree(seen)


def test_freqtrade_omits_funding_of_stopped_positions(cycle: Cycle) -> None:
    """Known of freqtrade 2026.9: the wallet has it, the trade's profit does not."""
    seen = cycle.steps["exit"]
    trade = seen.trade(PEPE)
    paid = funding(cycle.account, PEPE)
    assert paid != 0
    assert trade["funding_fees"] == 0
    missing = money(cycle, trade, seen.booked) - Decimal(str(trade["realized_profit"]))
    assert float(missing) == pytest.approx(float(paid), abs=ROUNDED)


def test_an_exit_closes_the_position_and_cancels_its_stop(cycle: Cycle) -> None:
    seen = cycle.steps["exit"]
    assert not any(seen.positions.values())
    assert not any(seen.stops.values())
    assert not cycle.account.open_orders()
    assert not seen.trades["is_open"].any()
    for pair in (BTC, ETH):
        assert seen.trade(pair)["exit_reason"] == "exit_signal"
        (stop,) = [a for a in cycle.account.algos if a.request.symbol == SYMBOLS[pair]]
        assert stop.status == CANCELED


def test_profits_of_the_database_are_what_the_wallet_has(cycle: Cycle) -> None:
    seen = cycle.steps["exit"]
    for pair in (BTC, ETH):
        trade = seen.trade(pair)
        earned = money(cycle, trade, seen.booked)
        assert float(earned) == pytest.approx(trade["realized_profit"], abs=ROUNDED)
    everything = sum((money(cycle, trade, seen.booked) for trade in rows(seen)), WALLET)
    assert cycle.account.wallet == everything


def rows(seen: BotState) -> list[Any]:
    return list(seen.trades.itertuples())


def test_bot_logs_no_warning_but_the_refusals(cycle: Cycle) -> None:
    assert [line for line in cycle.log.splitlines() if " - ERROR - " in line] == []


def test_the_real_strategy_trades_a_whole_cycle(lives: dict[str, Cycle]) -> None:
    cycle = lives["strategy"]
    seen = cycle.steps["end"]
    closed = seen.trades[seen.trades["is_open"] == 0]
    assert len(closed) >= 1
    assert closed["enter_tag"].str.contains("zone").all()
    assert_agree(seen)
    for pair, amount in seen.positions.items():
        assert seen.stops[pair] >= abs(amount)
    assert cycle.account.algos
    assert all(algo.request.by_mark for algo in cycle.account.algos)
    for trade in closed.itertuples():
        earned = money(cycle, trade, seen.booked)
        lost = funding(cycle.account, str(trade.pair)) if stopped(trade) else Decimal(0)
        booked = Decimal(str(trade.realized_profit))
        assert abs(earned - booked) <= abs(lost) + Decimal(str(ROUNDED)), trade
    if FULL:
        assert max(exits(trade, seen.booked) for trade in closed.itertuples()) == 2


def exits(trade: Any, booked: pd.DataFrame) -> int:
    """Return in how many orders a position was closed."""
    filled = booked[(booked["ft_trade_id"] == trade.id) & (booked["filled"] > 0)]
    return len(filled[filled["ft_order_side"] != ("sell" if trade.is_short else "buy")])


def stopped(trade: Any) -> bool:
    return bool(trade.exit_reason == "stoploss_on_exchange")


def called(cycle: Cycle) -> set[tuple[str, str]]:
    return {(request.path, request.method) for request in cycle.requests}


def spot_paths(cycle: Cycle) -> dict[str, set[str]]:
    """Return by symbol of the spot market which candles were asked for under its name."""
    found: dict[str, set[str]] = {symbol: set() for symbol in ("BTCUSDT", "ETHUSDT", "PEPEUSDT")}
    for request in cycle.requests:
        symbol = request.params.get("symbol", "")
        if request.path in CANDLE_PATHS and symbol in found:
            found[symbol].add(request.path)
    return found


def test_default_type_changes_only_the_spot_endpoint(
    lives: dict[str, Cycle],
) -> None:
    """But for tickers, which a bot asks for or not as its candles happen to fall."""
    future, swap = (
        {(path, method) for path, method in called(lives[name]) if "/ticker/" not in path}
        for name in ("future", "swap")
    )
    assert future - swap == {("/api/v3/klines", "GET")}
    assert swap - future == set()
    assert ("/fapi/v1/algoOrder", "POST") in swap
    perp, spot = "/fapi/v1/klines", "/api/v3/klines"
    both = {perp, spot}
    assert spot_paths(lives["future"]) == {"BTCUSDT": both, "ETHUSDT": both, "PEPEUSDT": {spot}}
    assert spot_paths(lives["swap"]) == {"BTCUSDT": {perp}, "ETHUSDT": {perp}, "PEPEUSDT": set()}


def test_both_default_types_live_the_same_life(lives: dict[str, Cycle]) -> None:
    future, swap = lives["future"], lives["swap"]
    assert list(future.steps) == list(swap.steps) == list(STEPS)
    assert filled(future) == filled(swap)
    assert_agree(swap.steps["exit"])


def filled(cycle: Cycle) -> dict[str, list[str]]:
    """Return the sides of each pair's filled orders: of two pairs either may close first."""
    sides = defaultdict(list)
    for order in cycle.account.orders:
        if order.executed:
            sides[order.request.symbol].append(order.request.side)
    return sides


def test_the_endpoints_are_published(lives: dict[str, Cycle]) -> None:
    future, swap = called(lives["future"]), called(lives["swap"])
    lines = [
        [
            f"`{method} {path}`",
            *("yes" if (path, method) in side else "no" for side in (swap, future)),
        ]
        for path, method in sorted(future | swap)
    ]
    for symbol, paths in spot_paths(lives["future"]).items():
        asked = [spot_paths(lives["swap"])[symbol], paths]
        answers = [spot_answer(symbol, sorted(side)) for side in asked]
        lines.append([f"candles of the spot pair {symbol}", *answers])
    publish("endpoints", table(["request", '"swap"', '"future"'], lines))


def spot_answer(symbol: str, paths: list[str]) -> str:
    if not paths:
        return "none: ccxt knows no such market"
    where = paths[0] if symbol == "PEPEUSDT" or len(paths) == 1 else "/api/v3/klines"
    return f"`{where}`, the {CANDLE_PATHS[where]}'s"


def test_the_cycle_is_published(lives: dict[str, Cycle]) -> None:
    cycle = lives["future"]
    lines = [[STEPS[step], *both_sides(seen)] for step, seen in cycle.steps.items()]
    header = ["step", "at the exchange", "in the bot's database", "verdict"]
    money_lines = [money_line(cycle, trade) for trade in rows(cycle.steps["exit"])]
    strategy = lives["strategy"]
    money_lines += [
        money_line(strategy, trade) for trade in rows(strategy.steps["end"]) if not trade.is_open
    ]
    money_header = [
        "strategy, trade",
        "exits",
        "wallet changed by",
        "profit in the database",
        "verdict",
    ]
    parts = [ABOUT, table(header, lines), MONEY, table(money_header, money_lines)]
    publish("orders", "\n\n".join(parts))


def both_sides(seen: BotState) -> list[str]:
    names = {pair: pair.partition("/")[0] for pair in SAMPLE_PAIRS}
    at = [
        f"{names[pair]} {amount:f}, stop {seen.stops[pair]:f}"
        for pair, amount in seen.positions.items()
        if amount
    ]
    known = [
        f"{names[pair]} {amount.normalize():f}"
        for pair, (_, amount) in sides(seen).items()
        if seen.trades.loc[seen.trades["pair"] == pair, "is_open"].any()
    ]
    differ = [names[pair] for pair, (here, there) in sides(seen).items() if here != there]
    wallet = f"wallet {seen.wallet:.2f}"
    return [
        "; ".join([*at, wallet]),
        ", ".join(known) or "no open trade",
        f"differ: {', '.join(differ)}" if differ else "agree",
    ]


def money_line(cycle: Cycle, trade: Any) -> list[str]:
    booked = next(reversed(cycle.steps.values())).booked
    earned = float(money(cycle, trade, booked))
    off = earned - trade.realized_profit
    verdict = "agree" if abs(off) < ROUNDED else f"differ by {off:.8f} of funding"
    side = "short" if trade.is_short else "long"
    name = f"{trade.strategy}, {trade.pair} {side}, {trade.exit_reason}"
    return [
        name,
        str(exits(trade, booked)),
        f"{earned:.8f}",
        f"{trade.realized_profit:.8f}",
        verdict,
    ]
