"""The promise under fire: a load of sessions and tabs, faults of every kind, and one checker that decides.

`python -m tests.chaos` runs it (`make chaos`); `test_chaos.py` is the short version.
"""
