"""JSON Schema, drafts 4, 6 and 7 (https://json-schema.org/specification-links), with the messages of the Go library
``gojsonschema`` that OPA uses. Patterns run on RE2; nothing is fetched. Imported when the first schema is read.
"""
