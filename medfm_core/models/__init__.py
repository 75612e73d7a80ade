"""The networks, one file per design."""
