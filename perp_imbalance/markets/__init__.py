"""Which spot pair (or index) belongs to a perp, and what each exchange needs for it."""
