"""`python -m medfm_core.worker`: does all computing for another program, by JSON lines; see docs/worker.md.

Three kinds of processes share the work, so that nothing that hangs, crashes or is cancelled takes more with it:

    the caller (3D Slicer) - supervisor (no torch) - lane "compute"   analyze, ask, embed, similar; torch stays loaded
                                                   - lane "weights"   pull, import, verify, remove
                                                   - lane "quick"     plan, models, doctor

A lane does one job after the other. A cancelled job is asked to stop, which cleans up after itself and keeps the
process warm; one that does not within `lane.GRACE_S` is killed with all its children, and the supervisor clears away
what it left. A lane that loses its supervisor ends itself, and a supervisor whose standard input ends ends its lanes.
"""
