# METADATA
# title: Models
package guard.rules.models

import data.guard.lib

# METADATA
# title: A tenant uses the models it was given
# description: A tenant without a list in the configuration may use any model. A call without a model is not judged.
# custom:
#   id: MOD-001
#   severity: medium
#   remediation: Choose a model of the tenant's list, or add this one to tenants.NAME.models.
#   mode: enforce
deny contains {"id": "MOD-001", "message": message, "pointers": ["/model"]} if {
	input.stage == "request"
	input.resource.model != null
	models := data.guard.tenants[input.subject.tenant].models
	count(models) > 0
	not input.resource.model in models
	message := sprintf("Tenant %s may not use %s.", [input.subject.tenant, input.resource.model])
}

# METADATA
# title: A tenant with a list of models names its model
# description: A call whose model cannot be read might go to any model.
# custom:
#   id: MOD-002
#   severity: medium
#   remediation: Name the model in the request's "model" field.
#   mode: enforce
deny contains {"id": "MOD-002", "message": message, "pointers": []} if {
	input.stage == "request"
	input.action.method != "GET"
	not named
	lib.exposed
	count(data.guard.tenants[input.subject.tenant].models) > 0
	message := sprintf("Tenant %s has a list of models, and the call names none.", [input.subject.tenant])
}

# METADATA
# title: Models that nobody may use
# description: >-
#   Speaks once denied_models is given, for every caller. Patterns meet dated names, too: "gpt-3.5*". A call that names
#   no model, or one that is no plain name, might mean any, and is denied.
# custom:
#   id: MOD-003
#   severity: medium
#   remediation: Choose another model, or take its pattern out of denied_models.
#   mode: enforce
deny contains {"id": "MOD-003", "message": message, "pointers": ["/model"]} if {
	input.stage == "request"
	patterns := data.guard.settings.denied_models
	denied(patterns)
	message := sprintf("%s may not be used.", [model])
}

# METADATA
# title: A tenant's calls ask for no more than its bound
# description: >-
#   Speaks once tenants.NAME.max_tokens is given. A call that names no bound leaves it to the provider, and is denied.
# custom:
#   id: MOD-004
#   severity: low
#   remediation: Set max_tokens in the request to the tenant's bound or less.
#   mode: enforce
deny contains {"id": "MOD-004", "message": message, "pointers": []} if {
	input.stage == "request"
	bound := data.guard.tenants[input.subject.tenant].max_tokens
	bound != null
	input.ai.operation != null
	input.action.method != "GET"
	not within(bound)
	message := sprintf("Tenant %s may ask for %d tokens, and must say for how many.", [input.subject.tenant, bound])
}

named if input.resource.model != null

model := input.resource.model if {
	named
} else := "A model that is not named"

denied(patterns) if {
	named
	lib.listed(input.resource.model, patterns)
}

denied(patterns) if {
	count(patterns) > 0
	not named
	lib.exposed
	input.action.method != "GET"
}

within(bound) if {
	input.ai.max_tokens != null
	input.ai.max_tokens <= bound
}
