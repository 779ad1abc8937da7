# METADATA
# title: Secrets
# description: Keys, tokens and passwords pass the guard in neither direction.
package guard.rules.secrets

import data.guard.lib

# METADATA
# title: Secrets do not go to a model
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

secrets contains finding if {
	some finding in lib.confident
	finding.detector == "secrets"
}

kinds := concat(", ", {secret.type | some secret in secrets})
