"""Real and simulated clusters: a local control plane, fleets of nodes, scenarios and reports."""
