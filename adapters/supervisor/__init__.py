"""Supervises one step of a run: one process tree, stopped and proven gone before its end is told.

A script of its own, started as `[python, "-I", adapters/supervisor/__main__.py]`, the leader of a
login session. It knows no database. The worker writes one JSON line, the *order*, on its standard
input and keeps the pipe open; the line `stop`, SIGTERM, or the end of the pipe (the worker
vanished) stop the tree. It answers with JSON lines: `{"event": "started", "pid": N}` if the step
was started, and exactly one `{"event": "ended", ...}`. `bot/supervision.py` says what the fields
of both mean.

`step` tells the whole story; `record` is the worktree's lock file; `leftovers` stops what is
recorded there; `guard` watches over the supervisor itself; `child` starts the command; `watch`
waits for everything at once; `tree` stops the command's processes; `living` finds processes.

Every step pays for what is imported here. So values are named tuples (dataclasses would take a
third longer to start), files are opened without pathlib, and psutil is for where there is no /proc.
"""
