"""Chaos from a seed: a bot trades at an exchange on its worst days, and must stay right.

``python -m support.chaos --seeds 200`` lets 200 bots live, two at a time; ``--seed 17`` one of them
again. What is drawn from a seed: :mod:`.schedule`. What must hold: :mod:`.invariants`.
"""
