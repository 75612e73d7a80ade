"""Losses, and what they need of a batch."""
