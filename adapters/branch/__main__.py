"""The script itself."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # This very package, wherever it is, and nothing else that lies beside it: no other module
    # is looked for there, so none can hide one of the standard library.
    root = str(Path(__file__).resolve().parents[2])
    sys.path.insert(0, root)
    import adapters  # noqa: F401 - what is inside it is found through it

    sys.path.remove(root)

    from adapters.branch.script import main

    sys.exit(main())
