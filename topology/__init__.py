"""What the fleet is: accelerators, levels, domains and their distances. Pure: no I/O, no clock."""
