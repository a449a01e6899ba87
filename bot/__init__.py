"""Baton's product: nouns, rules and words. No platform and no SQL in here.

The map, bottom up; a module imports only from lines above it:

    run, supervision                 a run and what works on it
    conversation, workflows          who said what and where; what can be run
    outcome, access, log             what came of it; who may; what the log says
    ports                            what adapters and store must provide
    replies, card, locks, parser     every sentence; a run at a glance; order; text to command
    commands                         one function of a transaction per verb, and their table
    dispatcher                       one message in, one outcome out
    execution, worker                one run's life; which runs this process works on
    config, bootstrap, cli           settings; the one place that joins everything; the doors
"""
