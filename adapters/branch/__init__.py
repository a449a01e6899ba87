"""What Baton asks of git for a run's branch: a worktree before the steps, a push after each.

A script of its own, started as `[python, "-I", "-X", "utf8", adapters/branch/__main__.py]` with
`prepare` or `push` and what `adapters/worktrees.py` puts behind it. It runs under the supervisor,
so that no git outlives a dead worker, and may be killed anywhere and repeated: what is half-made
is made again, what a person or a step made is never thrown away. The user's hooks run, nothing
prompts, submodules are left alone.

What came of it goes as JSON into the result file: sentences without paths, since people read them
in chat. The details are for the run's log, without credentials.

`script` reads the arguments and writes the result; `prepare` and `push` tell the two stories;
`worktree` makes one, takes it up or clears its place; `catch_up` brings a branch to where another
host pushed it; `remote` is where that is; `mend` clears away what killed git commands left; `git`
is git itself.
"""
