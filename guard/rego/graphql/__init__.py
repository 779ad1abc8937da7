"""GraphQL documents and schemas (https://spec.graphql.org/October2021/), in the form in which OPA's built-ins give and
take them: objects with the field names of the Go library ``gqlparser``. Imported when the first document is read.
"""
