"""Waits for everything at once: the worker's words, signals, the step's output, time."""

import os
import selectors
import signal
from collections.abc import Callable
from types import FrameType

_CHUNK_BYTES = 65536
_LARGEST_PIPE_BYTES = 1 << 20


class Watch:
    """The supervisor's ear. `stop_asked` turns true at `stop`, SIGTERM, or the worker's end."""

    def __init__(self, words: int) -> None:
        self.stop_asked = False
        self._order: bytes | None = None
        self._unread = b""
        self._selector = selectors.DefaultSelector()
        self._listen_to_signals()
        self.read(words, self._hear)

    def _listen_to_signals(self) -> None:
        wakes, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminated)
        # These are for whoever sits at the terminal; the worker decides what they mean.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.read(wakes, lambda _: None)

    def _terminated(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as signals call it
        self.stop_asked = True

    def order(self) -> bytes | None:
        """Waits for the first line of the worker; None if it stops us before."""
        while self._order is None and not self.stop_asked:
            self.wait(None)
        return self._order

    def read(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        """From now on hands on what comes from this pipe, at last an empty piece; closes it."""
        os.set_blocking(descriptor, False)
        self._selector.register(descriptor, selectors.EVENT_READ, take)

    def wait(self, seconds: float | None) -> None:
        """Returns when something happened, or after these seconds."""
        for key, _ in self._selector.select(seconds):
            self._take(key)

    def drain(self, descriptor: int) -> None:
        """Takes what is still in this pipe; does not wait for more, nor take more for ever."""
        taken = 0
        while taken < _LARGEST_PIPE_BYTES and descriptor in self._selector.get_map():
            size = self._take(self._selector.get_key(descriptor))
            if size == 0:
                return
            taken += size

    def _take(self, key: selectors.SelectorKey) -> int:
        try:
            piece = os.read(key.fd, _CHUNK_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            piece = b""
        if not piece:
            self._selector.unregister(key.fd)
            os.close(key.fd)
        key.data(piece)
        return len(piece)

    def _hear(self, piece: bytes) -> None:
        if not piece:
            self.stop_asked = True
        *lines, self._unread = (self._unread + piece).split(b"\n")
        if lines and self._order is None:
            self._order = lines.pop(0)
        if b"stop" in lines:
            self.stop_asked = True
