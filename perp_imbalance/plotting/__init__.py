"""The indicator's chart, HTML pages, and the colours of all figures."""
