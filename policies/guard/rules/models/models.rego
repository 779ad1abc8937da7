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

named if input.resource.model != null
