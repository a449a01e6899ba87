"""Process trees that are hard to stop. Each says `ready` once it stands."""

import sys
from dataclasses import dataclass

_PYTHON = """
import ctypes, os, signal, sys, threading, time

def ready():
    os.write(1, b"ready\\n")

def deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

def sleep():
    while True:
        time.sleep(1000)

def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid

END = time.time() + 60

def tick():
    if time.time() > END:
        os._exit(0)  # whatever became of the test: nobody else catches these
    ticks = os.open("ticks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(ticks, b".")
    os.close(ticks)

def daemon():
    os.setsid()
    child(lambda: (deaf(), ready(), sleep()))
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """A command, and how many `ready` it writes."""

    command: tuple[str, ...]
    ready: int = 1


def _sh(text: str, ready: int = 1) -> Shape:
    return Shape(("/bin/sh", "-c", text), ready)


def _py(text: str, ready: int = 1) -> Shape:
    return Shape((sys.executable, "-I", "-S", "-c", _PYTHON + text), ready)


def python(text: str) -> tuple[str, ...]:
    """A command that runs this text after the functions above."""
    return _py(text).command


SHAPES = {
    "plain": _sh("echo ready; exec sleep 1000"),
    "pipeline": _sh("sleep 1000 | sleep 1000 & echo ready; wait"),
    "deaf": _py("deaf(); ready(); sleep()"),
    "deaf shell": _sh("trap '' TERM INT HUP; echo ready; while :; do sleep 0.01; done"),
    "deaf forks": _py("deaf(); [child(lambda: (ready(), sleep())) for _ in range(5)]; sleep()", 5),
    "setsid": _py("child(lambda: (os.setsid(), deaf(), ready(), sleep())); sleep()"),
    "daemon": _py("child(daemon); sleep()"),
    "daemon without environment": _py(
        "child(lambda: (os.setsid(), child(lambda: (deaf(), ready(), "
        "os.execve('/bin/sleep', ['sleep', '1000'], {}))))); sleep()"
    ),
    "daemon without descriptors": _py(
        "child(lambda: (os.setsid(), child(lambda: (deaf(), ready(), os.closerange(0, 64), "
        "os.chdir('/'), sleep())))); sleep()"
    ),
    "three daemons and a hangup": _py("[child(daemon) for _ in range(3)]; sleep()", 3),
    "job control": _sh("set -m; sleep 1000 & sleep 1000 & echo ready; wait"),
    "nohup": _sh("trap '' HUP; nohup sh -c 'echo ready; sleep 1000' & wait"),
    "stopped": _py("ready(); os.kill(os.getpid(), signal.SIGSTOP)"),
    "stopped below": _py(
        "child(lambda: (deaf(), ready(), os.kill(os.getpid(), signal.SIGSTOP), sleep())); sleep()"
    ),
    "deep": _py(
        "def down(n):\n"
        "    child(lambda: down(n - 1)) if n else ready()\n"
        "    deaf(); sleep()\n"
        "down(40)"
    ),
    "wide": _py("[child(lambda: (deaf(), ready(), sleep())) for _ in range(60)]; sleep()", 60),
    "no reaping": _py(
        "deaf(); [child(lambda: None) for _ in range(20)]\n"
        "child(lambda: (ready(), sleep())); sleep()"
    ),
    "first thread ended": _py(
        "threading.Thread(target=lambda: (ready(), sleep())).start(); deaf()\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    ),
    "forks on SIGTERM": _py(
        "signal.signal(signal.SIGTERM, lambda *_: child(lambda: (deaf(), os.setsid(), sleep())))\n"
        "ready(); sleep()"
    ),
    "respawns": _py(
        "def keep():\n"
        "    while True:\n"
        "        child(sleep); os.wait()\n"
        "deaf(); child(keep); ready(); keep()"
    ),
    "runs away": _py(
        "def run():\n"
        "    while not os.fork():\n"
        "        tick()\n"
        "deaf(); child(lambda: (ready(), run())); sleep()"
    ),
    "runs away from its group": _py(
        "def run():\n"
        "    while not os.fork():\n"
        "        os.setsid(); tick()\n"
        "deaf(); child(lambda: (ready(), run())); sleep()"
    ),
    "runs away four times": _py(
        "def run():\n"
        "    while not os.fork():\n"
        "        os.setsid(); tick()\n"
        "deaf(); [child(lambda: (ready(), run())) for _ in range(4)]; sleep()",
        4,
    ),
    "adopts orphans itself": _py(
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); deaf(); child(daemon); sleep()"
    ),
    "writes for ever": _sh("trap '' TERM; echo ready; while :; do echo more; done"),
}
