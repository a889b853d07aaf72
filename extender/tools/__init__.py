"""The offline and read-only commands: plan, explain, status, topology, annotate."""
