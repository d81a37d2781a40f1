"""Chaos tests: bots trade at an exchange with random faults, and invariants must hold.

``python -m support.chaos --seeds 200`` runs 200 bots, two at a time; ``--seed 17`` repeats one.
:mod:`.schedule` draws the faults from a seed; :mod:`.invariants` has what must hold.
"""
