"""A strategy that raises while the bot is running."""

from freqtrade.exceptions import OperationalException
from PerpImbalance import PerpImbalance


class Quitter(PerpImbalance):
    """Raises on the first look of a running bot; freqtrade asks for its pairs once before that."""

    asked = 0

    def informative_pairs(self) -> list[tuple[str, str, str]]:
        self.asked += 1
        if self.asked > 1:
            raise OperationalException("no pairs any more")
        return super().informative_pairs()
