"""Running a net over a volume: devices, precision, memory, tiles, and painting its answer on the input's grid."""
