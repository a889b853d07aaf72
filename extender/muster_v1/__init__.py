"""The gRPC API `muster.v1`: `placement.proto`, and the code that `make proto` generates from it."""
