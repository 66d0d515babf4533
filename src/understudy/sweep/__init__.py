"""Searching parameters: a Hydra sweeper on today's Optuna, where nothing that was recorded is ever lost.

``space``      Hydra's grammar as distributions
``options``    what ``hydra.sweeper.*`` asks for
``samplers``   samplers and pruners by name
``storage``    SQLite, PostgreSQL, Optuna's journal: opened, locked, waited for
``alive``      which process a trial belongs to, and whether that process still lives
``study``      one study: made or found, its dead trials found out, the next ones asked
``trial``      one trial as its own process sees it: it reports and records itself
``sweeper``    the loop that Hydra calls
``parent``     the tracker's run that holds the trials' runs
``page``       ``sweep.html``; ``winner``: the experiment that reruns the best trial
"""
