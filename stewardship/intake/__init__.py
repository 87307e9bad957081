"""One module per input format: each translates once, at the edge, into domain types."""
