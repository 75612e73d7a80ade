"""What a run shows while it trains: scalars, speed, health of the representation, probes, alarms, plots."""
