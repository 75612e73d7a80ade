"""The worker as it is, with lanes that compute nothing (`panel_lane.py`)."""

import functools
import os
import sys
from pathlib import Path

from medfm_core.worker import supervisor

LANE = (sys.executable, "-u", str(Path(__file__).with_name("panel_lane.py")))

if __name__ == "__main__":
    supervisor.Lane = functools.partial(supervisor.Lane, command=LANE)
    code = supervisor.main()
    sys.stdout.flush()
    os._exit(code)
