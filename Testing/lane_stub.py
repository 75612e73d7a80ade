"""Stands in for `medfm_core.worker.process` in tests of what is around it: does as the request's name says.

Run as a script; it imports nothing of MedFM but the names of parts, so it starts at once.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

cancelled = set()


def say(event, request_id, **fields):
    sys.stdout.write(json.dumps({"version": 1, "event": event, "id": request_id, **fields}) + "\n")
    sys.stdout.flush()


def do(request_id, name, arguments):
    if name == "polite":
        for _ in range(2000):
            if request_id in cancelled:
                return say("cancelled", request_id)
            time.sleep(0.01)
    if name in ("stubborn", "crash", "killed", "half a line"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        if "out" in arguments:
            from medfm_core.io.parts import part_name

            part = Path(arguments["out"]).parent / part_name()
            part.mkdir(parents=True)
            (part / "half").write_text("written")
        say("log", request_id, text=f"child {child.pid}")
        if name == "crash":
            os._exit(3)
        if name == "killed":
            os.kill(os.getpid(), 9)
        if name == "half a line":
            sys.stdout.write('{"version": 1, "event": "resu')
            sys.stdout.flush()
            os._exit(0)
        time.sleep(60)
    return say("result", request_id, process=os.getpid(), arguments=arguments)


def read(requests):
    for line in sys.stdin:
        data = json.loads(line)
        if "cancel" in data:
            cancelled.add(data["cancel"])
        else:
            requests.append(data)
    os._exit(0)


def main():
    requests = []
    say("ready", None, torch="9.9", devices=[], problem="")
    threading.Thread(target=read, args=(requests,), daemon=True).start()
    while True:
        while requests:
            request = requests.pop(0)
            do(request["id"], request["request"], request["arguments"])
        time.sleep(0.005)


main()
