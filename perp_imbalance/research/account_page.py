"""A table of out-of-sample accounts, for the pages of tune and walk-forward."""

from collections.abc import Mapping
from typing import Any

from perp_imbalance.plotting.html_page import TOO_FEW, UNKNOWN, Table, number
from perp_imbalance.research.account import TOO_FEW_TRADES

#: Explains the columns of :func:`accounts_table`.
ABOUT = (
    "Profit and drawdown in percent of the wallet. Sharpe: of daily returns, per year, with its "
    "standard error. Above 0: the probability that the true Sharpe is above 0. Best of worthless: "
    "the Sharpe that the best of as many worthless trials would show. Deflated: the probability "
    "that the true Sharpe is above that."
)


def accounts_table(accounts: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table with one row per account.

    :param accounts: by name, as ``Statistics.as_dict`` returns them.
    """
    return Table([{"account": name, **_row(account)} for name, account in accounts.items()])


def percent(share: float | None, places: int = 2, *, sign: bool = False) -> str:
    """Return a share in percent, as text.

    >>> percent(0.01234, sign=True)
    '+1.23'
    """
    return number(None if share is None else share * 100.0, places, sign=sign)


def _row(account: Mapping[str, Any]) -> dict[str, Any]:
    sharpe = number(account["sharpe"], sign=True)
    if account["unsaid"]:
        sharpe = TOO_FEW if account["unsaid"].startswith(TOO_FEW_TRADES) else UNKNOWN
    return {
        "trades": account["trades"],
        "days": account["days"],
        "profit, %": percent(account["profit"], sign=True),
        "drawdown, %": percent(account["drawdown"]),
        "Sharpe": sharpe,
        "standard error": number(account["sharpe_error"]),
        "above 0, %": percent(account["above_zero"], 0),
        "best of worthless": number(account["expected_best"]),
        "deflated, %": percent(account["deflated"], 0),
    }
