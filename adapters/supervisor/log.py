"""The step's log: what cannot be written is dropped, and never holds up the step."""

import os


class Log:
    """A file to append to. `error` says, once it happened, why nothing more is written."""

    def __init__(self, path: str) -> None:
        self.error: str | None = None
        self._file: int | None = None
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            self._give_up(error)

    def write(self, piece: bytes) -> None:
        """Appends all of it, or gives up for good."""
        rest = memoryview(piece)
        while rest and self._file is not None:
            try:
                rest = rest[os.write(self._file, rest) :]
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.error = error.strerror
        self._file = None
