"""A lane of the worker that computes nothing: an analysis in it never ends, has a child, and stops for nobody."""

import json
import subprocess
import sys
import time

PLAN = {
    "devices": {"cpu": {"seconds": 9.0, "basis": "measured"}}, "memory_gb": 1.0, "free_gb": 8.0, "problem": "",
    "warnings": [],
}  # fmt: skip


def say(event, request_id, **fields):
    sys.stdout.write(json.dumps({"version": 1, "event": event, "id": request_id, **fields}) + "\n")
    sys.stdout.flush()


say("ready", None, torch="9.9", devices=[{"name": "cpu", "title": "2 cores", "total": None, "free": None}], problem="")
for line in sys.stdin:
    data = json.loads(line)
    if data.get("request") == "analyze":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        say("log", data["id"], level="info", text=f"child {child.pid}")
        say("progress", data["id"], name="Outline the organs", fraction=0.3, remaining_seconds=60.0)
        time.sleep(300)
    elif data.get("request") == "models":
        say("result", data["id"], models=[], cache="", offline=False, free_bytes=None)
    elif "request" in data:
        say("result", data["id"], **PLAN)
