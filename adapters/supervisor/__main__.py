"""The script itself. Compiled at every start, so it is short; what it imports is cached."""

import os
import sys

if __name__ == "__main__":
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))  # noqa: PTH120 - pathlib costs 5 ms
    # Last, so that nothing of ours can hide a module of the standard library.
    sys.path.append(root)

    from adapters.supervisor.step import main

    main()
    # All is said and durable; the interpreter's own farewell would take 5 ms more.
    os._exit(0)
