"""Match perps with their spot pair or index, and check what each exchange needs for it."""
