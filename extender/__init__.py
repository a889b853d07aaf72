"""How the outside talks to Muster: extender verbs, gRPC, web pages, and the command line."""
