"""The output of runs: a file on the host that works on them, and its end for all other hosts."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Output:
    """The end of a run's output: from which offset on, and what stands there.

    `still` where nothing has been added for some seconds.
    """

    start: int
    content: bytes
    still: bool = False

    @property
    def size(self) -> int:
        """The offset at which the output ends."""
        return self.start + len(self.content)

    def since(self, offset: int) -> "Output":
        """What stands behind an offset, as far as it is known."""
        if offset >= self.size:
            return Output(offset, b"", self.still)
        start = max(offset, self.start)
        return Output(start, self.content[start - self.start :], self.still)


class Outputs(Protocol):
    """The ends of outputs, for those who have not the files."""

    def put(self, run_id: str, epoch: int, output: Output) -> None:
        """This is how the output of a run ends now."""

    def get(self, run_id: str) -> Output | None:
        """How the output of a run ended when its host told last; None where it never did."""
