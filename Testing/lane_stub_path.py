"""How tests start the stub of a lane."""

import sys
from pathlib import Path

COMMAND = (sys.executable, "-u", str(Path(__file__).with_name("lane_stub.py")))
