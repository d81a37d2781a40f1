"""What a trader looks at: the indicator's chart, and the colours of everything drawn."""
