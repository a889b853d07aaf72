"""One workload on the cards of twelve vendors: ``make vendors``."""
