"""The policy room: what the rules see (``document``), who answers (``embedded``, ``opa``) and what the answer means
(``engine``)."""
