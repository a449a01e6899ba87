"""Wakes the workers of all hosts that share a PostgreSQL, through procrastinate.

A job of procrastinate only says "look at this run under this epoch"; the run's row alone says what
is so. So a job may be lost or come twice. Only `enqueue` is part of a claim; all else is done as
well as can be, logged where it could not be done, and left to whoever looks at the rows.

`engine` is what the rest of Baton uses; `work` is one worker of procrastinate's; `jobs` is what
that asks the database for, made to live through outages.
"""
