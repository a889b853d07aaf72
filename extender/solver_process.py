"""CP-SAT in a process of its own: building a model holds the interpreter lock for long.

The process is spawned (never forked) before gRPC starts. Snapshots that the core solves without CP-SAT
never leave the service's own process.
"""
