"""The signed log: what was decided, durable before it takes effect, and provable afterwards.

``build`` makes records, ``log`` keeps them, ``verify`` checks a log without the rest of the guard. Nothing is imported
here, so that an auditor who runs ``python -m guard.record.verify`` loads only what verification needs.
"""
