"""`python -m medfm_core.worker`."""

import os
import sys

from medfm_core.worker.supervisor import main

if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a thread may still be reading standard input, which would hold the interpreter back
