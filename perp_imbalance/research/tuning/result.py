"""The result of a tuning as plain values, with a verdict in one sentence."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.account import (
    LEAST_TRADES,
    describe,
    growth_equity,
    trial_deviation,
    window_equity,
)
from perp_imbalance.research.overfitting import overfitting_probability
from perp_imbalance.research.threshold_trades import ThresholdTrades
from perp_imbalance.research.tuning.folds import Folds, chosen_ahead
from perp_imbalance.research.tuning.search import Found
from perp_imbalance.research.windows import Window

WINNER = "winner"
HOLD = "buy and hold"
#: From this probability on the verdict calls something shown.
SURE = 0.95
#: Above this probability of overfitting a choice is more luck than not.
MOST_LUCK = 0.5

_HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True)
class Judged:
    """The judgement of a winner.

    :ivar thresholds: thresholds of the winner.
    :ivar searched: its result on the searched part, compared with luck.
    :ivar accounts: results of the winner, the presets and buy and hold on the last part.
    :ivar warning: reason not to trade it; None if there is none.
    :ivar verdict: one sentence.
    """

    thresholds: Thresholds
    searched: dict[str, Any]
    accounts: dict[str, dict[str, Any]]
    warning: str | None
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def judge(
    found: Found,
    folds: Folds,
    traded: ThresholdTrades,
    window: Window,
    last: Mapping[str, Any],
) -> Judged:
    """Return the judgement of the winner.

    :param found: a search that has a winner.
    :param traded: the pairs that were searched.
    :param window: the searched part and the last part.
    :param last: result of :meth:`LastPart.test`.
    """
    wallet = traded.rules.wallet
    span = (window.test, window.end)
    accounts = {}
    for name, trades in {WINNER: last["winner"], **last["presets"]}.items():
        equity = window_equity(DataFrame(trades), wallet, *span)
        accounts[name] = describe(equity, len(trades)).as_dict()
    held = growth_equity(last["hold"]["days"], wallet, *span)
    accounts[HOLD] = describe(held, None).as_dict()
    searched = _searched(found, folds, traded, window)
    warning = warning_of(accounts[WINNER], searched["overfitting"], window)
    return Judged(
        thresholds=found.winner,
        searched=searched,
        accounts=accounts,
        warning=warning,
        verdict=verdict_of(accounts, searched, window),
    )


def _searched(
    found: Found, folds: Folds, traded: ThresholdTrades, window: Window
) -> dict[str, Any]:
    """Return the winner's result on the searched part, compared with the other trials."""
    outcomes = found.outcomes
    outcome = outcomes[found.tried.index(found.winner)]
    trades = traded.trades(found.winner)
    rows = DataFrame({"profit_abs": trades["profit_abs"]})
    closed = [traded.times[trade["pair"]][trade["exit_row"]] for trade in trades]
    rows["close_date"] = pd.to_datetime(np.array(closed, np.int64), utc=True)
    begin = datetime.fromtimestamp(folds.start / 1e9, UTC)
    equity = window_equity(rows, traded.rules.wallet, begin, window.test)
    ranked = [one for one in outcomes if one.score is not None]
    deviation = trial_deviation([[one.sharpe for one in ranked]], [1.0], 1.0)
    account = describe(equity, len(trades), trials=len(outcomes), deviation=deviation)
    ahead = chosen_ahead(outcomes)
    return {
        "trials": len(outcomes),
        "with_enough_trades": len(ranked),
        "is_exhaustive": found.is_exhaustive,
        "score": outcome.score,
        "folds": [round(float(figure), 4) for figure in outcome.figures],
        "embargo_hours": outcome.embargo / _HOUR_NS,
        "trades_in_one_fold": outcome.kept,
        "account": account.as_dict(),
        "overfitting": (
            overfitting_probability(
                np.array([one.sums for one in ranked]),
                np.array([one.squares for one in ranked]),
                folds.lengths,
            )
            if len(ranked) > 1
            else None
        ),
        # What the folds before each one chose, on that one.
        "chosen_ahead": [
            {"fold": fold + 1, "profit": float(outcomes[trial].sums[fold])} for fold, trial in ahead
        ],
    }


def warning_of(winner: Mapping[str, Any], overfitting: float | None, window: Window) -> str | None:
    """Return the reason not to trade a winner; None if there is none.

    :param winner: its account on the last part.
    :param overfitting: probability of overfitting; None if there was only one trial.
    """
    said = []
    if winner["profit"] <= 0:
        did = "lost" if winner["trades"] else "never traded"
        said.append(
            f"it {did} out of sample ({_days(window)}: {winner['profit']:+.1%} in "
            f"{winner['trades']} trades)"
        )
    if overfitting is not None and overfitting > MOST_LUCK:
        said.append(f"its probability of overfitting is {overfitting:.0%}, above a half")
    return f"tuned thresholds: {' and '.join(said)}" if said else None


def verdict_of(
    accounts: Mapping[str, Mapping[str, Any]], searched: Mapping[str, Any], window: Window
) -> str:
    """Return one sentence about what the last part and the search show."""
    winner = accounts[WINNER]
    presets = {
        name: account["profit"] for name, account in accounts.items() if name not in (WINNER, HOLD)
    }
    said = f"Out of sample ({_days(window)}) it made {winner['profit']:+.1%} in "
    said += f"{winner['trades']} trades"
    if presets:
        best = max(presets, key=lambda name: presets[name])
        more = "more" if winner["profit"] > presets[best] else "no more"
        said += f", {more} than the best preset, {best} ({presets[best]:+.1%})"
    held = accounts[HOLD]["profit"]
    said += f", and {'more' if winner['profit'] > held else 'no more'} than holding ({held:+.1%})"
    return f"{said}; {_luck(searched)}: {_proof(winner, searched)}."


def _luck(searched: Mapping[str, Any]) -> str:
    """Return a clause about how much of the search's result may be luck."""
    account, overfitting = searched["account"], searched["overfitting"]
    said = "nothing was chosen among others"
    if overfitting is not None:
        said = f"the probability of overfitting is {overfitting:.0%}"
    if account["deflated"] is not None:
        said += (
            f" and the searched Sharpe of {account['sharpe']:.2f} is truly above "
            f"{account['expected_best']:.2f}, what the best of {searched['trials']} worthless "
            f"trials would show, with {account['deflated']:.0%}"
        )
    return said


def _proof(winner: Mapping[str, Any], searched: Mapping[str, Any]) -> str:
    overfitting, deflated = searched["overfitting"], searched["account"]["deflated"]
    if winner["profit"] <= 0:
        return "it is not worth trading"
    if overfitting is not None and overfitting > MOST_LUCK:
        return "it is luck more likely than not"
    if winner["trades"] < LEAST_TRADES:
        return "too few trades for a conclusion"
    above = winner["above_zero"]
    if above is None or above <= SURE or deflated is None or deflated <= SURE:
        return f"skill is not shown at {SURE:.0%}"
    return f"skill is shown at {SURE:.0%}"


def _days(window: Window) -> str:
    return f"{window.test:%Y-%m-%d} to {window.end:%Y-%m-%d}"
