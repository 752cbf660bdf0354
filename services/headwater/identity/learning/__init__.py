"""Learning weights in a process of its own, so that nobody who resolves waits for it.

The service puts what is to be learnt from into a directory (`spool`), starts `python -m headwater.identity.learning
DIRECTORY`, hears of its progress line by line, and reads what was learnt from the directory. It talks to no database.
"""
