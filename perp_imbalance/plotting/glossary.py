"""The glossary: tooltips of the HTML pages, and a page of the documentation."""

import re
from collections.abc import Iterator

#: A term, as written in the pages, and its meaning in one or two sentences.
GLOSSARY = {
    "basis point": "One hundredth of a percent: 100 bps are 1 %. Short: bp, bps.",
    "bias": "The side on which the strategy may enter now: SHORT, LONG or none.",
    "Bollinger gate": "Lets a SHORT pass at or above the upper Bollinger band of the perp's price, "
    "a LONG at or below the lower one. Its parameter is use_sigma.",
    "bps": "Basis points: 100 bps are 1 %.",
    "buy and hold": "All pairs bought in equal parts at the beginning and held to the end.",
    "cooled": "|z| has fallen below exit_z: the zone is over and the position is closed.",
    "deflated": "Compared with the best Sharpe ratio that as many worthless trials would show.",
    "deviation": "The premium minus its median over the last candles, in bps.",
    "drawdown": "The largest loss from a peak of the wallet to the lowest point after it.",
    "embargo": "Time after the border of a fold in which no opened trade counts, so that a trade "
    "does not belong to two folds.",
    "enter_z": "The bias begins where |z| reaches this threshold.",
    "excess": "What a side earned beyond what it earned from any candle (the drift).",
    "exit_z": "The bias ends where |z| falls below this threshold.",
    "exit tag": "Why a position was closed, as freqtrade writes it.",
    "false discovery rate": "The expected share of false finds among all that are called finds.",
    "fees": "What the exchange takes for each order.",
    "flip": "The candle on which the bias changes to SHORT or LONG.",
    "fold": "One of the equal parts of time in which each trial is scored.",
    "funding": "What longs pay to shorts of a perpetual, or shorts to longs, at fixed hours. "
    "Positive: received by the position.",
    "gate": "A condition besides z that a candle must meet before the strategy enters.",
    "higher timeframe": "Longer candles, such as 4h beside 1h, whose z must agree with the bias.",
    "htf": "The gate of the higher timeframe: z on longer candles must agree with the bias.",
    "in sample": "On the candles that the parameters were fitted on.",
    "LONG": "The side that earns when the price rises: a buyer of the perpetual.",
    "median": "Half of the values are below it and half above.",
    "net": "After fees and funding.",
    "no bias": "|z| has not reached enter_z, or has fallen below exit_z since.",
    "null": "A set of signals that mean nothing by construction, traded by the same rules.",
    "out of sample": "On candles that were not used to choose the parameters.",
    "p": "The probability of a result at least as good if there were nothing to find. "
    "Small values speak against luck.",
    "percentile": "How many of a hundred nulls earned less.",
    "perp": "A perpetual future: a contract without an expiry date that follows the spot price.",
    "plateau": "A region of the grid in which neighbouring thresholds earn, too: less likely luck.",
    "pp": "Percentage points: the difference of two percentages.",
    "premium": "How much dearer the perpetual is than spot, in percent of the spot price.",
    "preset": "A set of thresholds that the project ships.",
    "probability of overfitting": "How often the best trial of one half of the folds is below the "
    "median in the other half (CSCV).",
    "profit factor": "The sum of all gains divided by the sum of all losses.",
    "q": "The false discovery rate at which this line would still count.",
    "Sharpe": "Mean return divided by its standard deviation, per year.",
    "SHORT": "The side that earns when the price falls: a seller of the perpetual.",
    "SPA": "Hansen's test of superior predictive ability: is the best of several lines better "
    "than not trading?",
    "spot": "The pair that is bought and sold at once, such as BTC/USDT.",
    "spread": "The difference between the prices at which one can buy and sell.",
    "stake": "The amount put into one trade.",
    "stale": "The premium has been missing for so many candles that the bias ends.",
    "StepM": "Romano and Wolf's test: which lines earn, with an error of 5 % over all lines.",
    "standard deviation": "The usual distance of the values from their mean.",
    "standard error": "The usual distance of a mean or ratio from its true value, by luck alone.",
    "stop": "The price at which a losing position is closed.",
    "t": "The mean divided by its standard error. Above about 2, luck alone is unlikely, "
    "if only one thing was tried.",
    "turnover": "The value of all orders, entries and exits.",
    "wallet": "The money of the account, including open positions where it says so.",
    "z": "How many standard deviations the premium is from its mean: the z-score.",
    "|z|": "The z-score without its sign.",
    "zone": "The candles from the one on which the bias begins to the one on which it ends.",
}

_BY_WORD = {term.casefold(): term for term in GLOSSARY}
# Longer terms match first. Short terms, such as t, and names match in this spelling only.
_TERM = re.compile(
    r"(?<![\w/|.-])("
    + "|".join(
        re.escape(term) if len(term) < 4 or term != term.casefold() else f"(?i:{re.escape(term)})s?"
        for term in sorted(GLOSSARY, key=len, reverse=True)
    )
    + r")(?![\w/|-])"
)


def explained(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the pieces of a text, each with its glossary term if it is one; a term is marked once.

    >>> list(explained("Premiums in bps, not in BPS"))
    [('Premiums', 'premium'), (' in ', None), ('bps', 'bps'), (', not in BPS', None)]
    """
    seen = set()
    for piece in filter(None, _TERM.split(text)):
        word = piece.casefold()
        term = _BY_WORD.get(word) or _BY_WORD.get(word.removesuffix("s"))
        is_new = term is not None and term not in seen and _TERM.fullmatch(piece) is not None
        seen.add(term)
        yield piece, term if is_new else None
