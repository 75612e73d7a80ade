"""The bricks that the transformers share, one idea per file."""
