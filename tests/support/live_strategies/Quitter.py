"""Gives up while the bot is running, as a strategy does that cannot go on."""

from freqtrade.exceptions import OperationalException
from PerpImbalance import PerpImbalance


class Quitter(PerpImbalance):
    """Raises on the first look of a running bot; before, freqtrade asks for its pairs once."""

    asked = 0

    def informative_pairs(self) -> list[tuple[str, str, str]]:
        self.asked += 1
        if self.asked > 1:
            raise OperationalException("no pairs any more")
        return super().informative_pairs()
