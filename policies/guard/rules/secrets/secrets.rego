# METADATA
# title: Secrets
# description: Keys, tokens and passwords pass the guard in neither direction.
package guard.rules.secrets

import data.guard.lib

# METADATA
# title: Secrets do not go to a model
# description: Fires on every finding of the detector secrets in a request to a model, but for kinds of secrets_redact.
# custom:
#   id: SEC-001
#   severity: critical
#   remediation: Remove the secret, and replace it where it is in use if it was sent before.
#   mode: enforce
deny contains {"id": "SEC-001", "message": message, "pointers": pointers} if {
	input.stage == "request"
	lib.exposed
	count(secrets) > 0
	pointers := {secret.pointer | some secret in secrets}
	message := sprintf("The request holds %s.", [kinds])
}

# METADATA
# title: Secrets do not come back from a model
# description: As SEC-001, for the answer.
# custom:
#   id: SEC-002
#   severity: critical
#   remediation: Find where the model got the secret from, and replace it where it is in use.
#   mode: enforce
deny contains {"id": "SEC-002", "message": message, "pointers": pointers} if {
	input.stage == "response"
	lib.exposed
	count(secrets) > 0
	pointers := {secret.pointer | some secret in secrets}
	message := sprintf("The answer holds %s.", [kinds])
}

# METADATA
# title: Kinds of secrets that are hidden instead of denied
# description: >-
#   Speaks once secrets_redact is given, in both directions. For kinds that stand in ordinary work, such as the tokens in
#   a log that somebody asks about: the model gets the name of the kind in their place.
# custom:
#   id: SEC-003
#   severity: high
#   remediation: Nothing to do. The model does not see the secret.
#   mode: enforce
obligations contains {"id": "SEC-003", "type": "redact", "entity": entity, "operator": "replace"} if {
	some entity in data.guard.settings.secrets_redact
	lib.exposed
}

# METADATA
# title: Secrets do not pass at all
# description: >-
#   Speaks once secrets_everywhere is true: denies secrets also where nothing goes to a model, in what is sent to an app
#   and in what it answers.
# custom:
#   id: SEC-004
#   severity: high
#   remediation: Remove the secret, and replace it where it is in use.
#   mode: enforce
deny contains {"id": "SEC-004", "message": message, "pointers": pointers} if {
	data.guard.settings.secrets_everywhere == true
	not lib.exposed
	count(secrets) > 0
	pointers := {secret.pointer | some secret in secrets}
	message := sprintf("Found: %s.", [kinds])
}

secrets contains finding if {
	some finding in lib.confident
	finding.detector == "secrets"
	not hidden(finding.type)
}

# Where SEC-003 hides it, nothing is denied.
hidden(type) if {
	type in data.guard.settings.secrets_redact
	lib.exposed
}

kinds := concat(", ", {secret.type | some secret in secrets})
