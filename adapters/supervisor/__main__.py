"""The script itself. Compiled at every start, so it is short; what it imports is cached."""

import os
import sys

if __name__ == "__main__":
    # This very package, wherever it is, and nothing else that lies beside it: no other module
    # is looked for there, so none can hide one of the standard library.
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))  # noqa: PTH120 - pathlib costs 5 ms
    sys.path.insert(0, root)
    import adapters  # noqa: F401 - what is inside it is found through it

    sys.path.remove(root)

    from adapters.supervisor.step import main

    main()
    # All is said and durable; the interpreter's own farewell would take 5 ms more.
    os._exit(0)
