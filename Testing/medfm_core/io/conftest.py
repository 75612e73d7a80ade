"""Lets these tests import the builders at the top of Testing."""

from __future__ import annotations

import sys
from pathlib import Path

TESTING = str(Path(__file__).resolve().parents[2])
if TESTING not in sys.path:
    sys.path.insert(0, TESTING)
