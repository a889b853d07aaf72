"""What to do about it: gangs, plans, reservations. Pure except `scheduler.kube`, the edge to the API."""
