"""A witness: remembers the last checkpoint of each log it knows, and cosigns only what extends it.

It runs where whoever operates the log has no access. ``rules`` decides, ``state`` remembers, ``server`` speaks HTTP
(C2SP tlog-witness, https://c2sp.org/tlog-witness).
"""
