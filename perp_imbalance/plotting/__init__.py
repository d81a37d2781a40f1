"""What a trader looks at: the indicator's pane, and the colours of everything drawn."""
