"""``muster agent``: the shell around ``topology.scan`` that reads a real host and reports."""
