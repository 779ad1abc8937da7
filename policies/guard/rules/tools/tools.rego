# METADATA
# title: Tools
# description: >-
#   Which tools a request may offer to a model, and which of them a model may call in its answer. A tool that is not
#   offered cannot be called, so judge the offer; the answer is judged for models that invent calls.
package guard.rules.tools

import data.guard.lib

# METADATA
# title: A tenant uses the tools it was given
# description: >-
#   Speaks once tenants.NAME.tools is given. A name that is no plain name is on no list.
# custom:
#   id: TOL-001
#   severity: high
#   remediation: Take the tool out of the request, or add it to tenants.NAME.tools.
#   mode: enforce
deny contains {"id": "TOL-001", "message": message, "pointers": pointers} if {
	allowed := data.guard.tenants[input.subject.tenant].tools
	count(allowed) > 0
	tools := {name | some name in used; not name in allowed}
	count(tools) > 0
	pointers := places(tools)
	message := sprintf("Tenant %s may not use %s.", [input.subject.tenant, concat(", ", tools)])
}

# METADATA
# title: Tools that nobody may use
# description: >-
#   Speaks once denied_tools is given, for every caller. A name that is no plain name could be any, and is denied.
# custom:
#   id: TOL-002
#   severity: high
#   remediation: Take the tool out of the request, or its pattern out of denied_tools.
#   mode: enforce
deny contains {"id": "TOL-002", "message": message, "pointers": pointers} if {
	patterns := data.guard.settings.denied_tools
	count(patterns) > 0
	tools := {name | some name in used; lib.listed(name, patterns)}
	count(tools) > 0
	pointers := places(tools)
	message := sprintf("Not to be used: %s.", [concat(", ", tools)])
}

# METADATA
# title: A dangerous tool asks for a role
# description: >-
#   Speaks once tool_roles is given. Whoever has none of the roles can neither offer the tool nor get a call of it.
# custom:
#   id: TOL-003
#   severity: high
#   remediation: Take the tool out of the request, or use a credential with one of its roles.
#   mode: enforce
deny contains {"id": "TOL-003", "message": message, "pointers": pointers} if {
	tools := {name |
		some pattern, roles in data.guard.settings.tool_roles
		not lib.has_role(roles)
		some name in used
		lib.listed(name, [pattern])
	}
	count(tools) > 0
	pointers := places(tools)
	message := sprintf("A role is missing for %s.", [concat(", ", tools)])
}

# METADATA
# title: A model calls the tools that it was offered
# description: >-
#   Speaks once offered_tools_only is true: an answer that calls a tool which the request did not offer was made up, or
#   was told to the model by somebody else.
# custom:
#   id: TOL-004
#   severity: medium
#   remediation: Offer the tool in the request if it is meant; otherwise look at what the model was told.
#   mode: enforce
deny contains {"id": "TOL-004", "message": message, "pointers": pointers} if {
	input.stage == "response"
	data.guard.settings.offered_tools_only == true
	tools := {name | some name in used; not name in input.ai.tools}
	count(tools) > 0
	pointers := places(tools)
	message := sprintf("The model calls %s, which was not offered.", [concat(", ", tools)])
}

used contains name if {
	input.stage == "request"
	some name in input.ai.tools
}

used contains call.name if {
	input.stage == "response"
	some call in input.ai.tool_calls
}

places(tools) := {call.pointer | some call in input.ai.tool_calls; call.name in tools}
