"""Baton's product: nouns, rules and words. No platform and no SQL in here.

The map, bottom up; a module imports only from lines above it:

    run, hosts, supervision, output, a run, what it works on, and what it says; why Baton does not
    errors                           start
    conversation, workflows, meter   who said what and where; what can be run; what is counted
    outcome, access, log             what came of it; who may; what the log says
    watching, keys, records          what pages show; what opens them; what is kept beside the runs
    ports, workshop, board           what store and adapters must provide
    speaker, patience, feed,         answers brought to where they belong, once each; who is told
    presence, tenure                 of every change; who is alive, and may still speak
    words, history                   the small words of which sentences are made; a run's past
    replies, refusals, reports,      every sentence
    notices, faults, directions,
    remedies
    card, locks                      a run at a glance; order
    parser                           text to command
    commands                         one function of a transaction per verb, and their table
    conduct, dispatcher, keeper      one command in a transaction; one message in, one answer out;
                                     cards that heal
    attendant                        all of these for the messages of a chat platform
    execution, heart, worker         one run's life; which runs this process works on
    config, bootstrap                settings; the one place that joins everything
    checks, once, service, tokens    what the command line does, by kind
    cli                              the command line
"""

__version__ = "0.1.0"
