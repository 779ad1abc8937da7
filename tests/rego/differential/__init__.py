"""The embedded engine against the real OPA: generated modules and inputs, the same answers.

`terms` and `rules` write modules, `inputs` the documents, `engines` asks both sides, `judge` compares and knows the
differences that ``docs/rego-differences.md`` lists. ``python -m tests.rego.differential`` runs as many evaluations as
wanted and prints each difference.
"""
