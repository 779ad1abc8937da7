"""Copies of the log for others' tools. The log stays the source of truth: a copy names the record that it tells of.

``tiles``: a C2SP tlog-tiles tree. ``proof``: a C2SP tlog-proof of one record. ``sshsig``: an OpenSSH signature over a
checkpoint. ``ocsf`` and ``table``: an event, or a row, for each decision. ``docs/exports.md`` describes them all. Each
streams: memory does not grow with the log.
"""
