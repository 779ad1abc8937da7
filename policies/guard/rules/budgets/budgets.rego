# METADATA
# title: Budgets
# description: >-
#   How much a caller may ask for in a moving window. A rule says what the budget is; the guard counts, and answers 429
#   when it is used up.
package guard.rules.budgets

import data.guard.lib

# METADATA
# title: Callers stay within their budget
# description: >-
#   Speaks once budgets is given, of every entry that concerns the caller. Several may hold at once. Those with the same
#   key and window count together, and the smaller budget holds.
# custom:
#   id: BUD-001
#   severity: low
#   remediation: Wait as long as Retry-After says, or ask the operator for a larger budget.
#   mode: enforce
obligations contains {"id": "BUD-001", "type": "limit", "key": key, "budget": budget, "window": window} if {
	input.stage == "request"
	some entry in data.guard.settings.budgets
	concerned(entry)
	key := entry.key
	budget := entry.budget
	window := entry.window
}

# METADATA
# title: Anonymous callers have a budget for each address
# description: >-
#   Speaks once anonymous_budget is given. All anonymous callers are one subject, so their budget goes by address.
# custom:
#   id: BUD-002
#   severity: low
#   remediation: Wait as long as Retry-After says, or send a credential.
#   mode: enforce
obligations contains {"id": "BUD-002", "type": "limit", "key": ["client"], "budget": budget, "window": window} if {
	input.stage == "request"
	entry := data.guard.settings.anonymous_budget
	input.subject.authenticated == false
	budget := entry.budget
	window := entry.window
}

# METADATA
# title: Unusual behaviour slows down
# description: >-
#   Speaks once unusual_budget is given: a caller whose score is at least that is held to a small budget. Milder than
#   BEH-001, which denies.
# custom:
#   id: BUD-003
#   severity: low
#   remediation: Wait as long as Retry-After says.
#   mode: enforce
obligations contains {"id": "BUD-003", "type": "limit", "key": ["subject"], "budget": budget, "window": window} if {
	input.stage == "request"
	entry := data.guard.settings.unusual_budget
	input.anomaly.score >= entry.score
	budget := entry.budget
	window := entry.window
}

concerned(entry) if {
	lib.concerns(entry)
	for_tenant(entry)
	for_roles(entry)
}

for_tenant(entry) if not entry.tenants

for_tenant(entry) if input.subject.tenant in entry.tenants

for_roles(entry) if not entry.roles

for_roles(entry) if lib.has_role(entry.roles)
