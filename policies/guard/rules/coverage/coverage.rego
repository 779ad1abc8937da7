# METADATA
# title: Coverage
# description: What was not inspected is never taken for clean.
package guard.rules.coverage

import data.guard.lib

# METADATA
# title: An inspection that did not finish is no inspection
# description: Fires when a detector met its deadline or a limit, or failed, and when a list did not fit the document.
# custom:
#   id: GUARD-001
#   severity: high
#   remediation: Send less text at once, or have the deadline or the limit of the detector raised.
#   mode: enforce
deny contains {"id": "GUARD-001", "message": message, "pointers": []} if {
	count(input.coverage.incomplete) > 0
	parts := {part |
		some entry in input.coverage.incomplete
		part := sprintf("%s (%s)", [entry.detector, entry.reason])
	}
	message := sprintf("Not finished: %s.", [concat(", ", parts)])
}

# METADATA
# title: What lies past the inspection limit does not pass
# description: >-
#   Otherwise padding would carry anything past every other rule. The unread rest of a body past max_body_bytes, on a
#   route with large_bodies = "pass", may go to the app itself; to a model or a provider it goes only on the routes
#   that large_body_routes names.
# custom:
#   id: GUARD-002
#   severity: high
#   remediation: Send less at once, or have limits.inspect_limit_bytes raised.
#   mode: enforce
deny contains {"id": "GUARD-002", "message": message, "pointers": pointers} if {
	pointers := {entry.pointer | some entry in input.coverage.skipped; beyond(entry.reason)}
	count(pointers) > 0
	message := "The text is longer than what is inspected."
}

beyond("inspect_limit")

beyond("body_limit") if {
	lib.exposed
	not input.resource.route in lib.setting("large_body_routes", [])
}

# METADATA
# title: Positions that nobody can read
# description: >-
#   Images, files and unknown media types are let in and told; headers that are credentials are not read by design, and
#   not told again. Set policy.settings.modes.GUARD-010 to "enforce" where only text may pass.
# custom:
#   id: GUARD-010
#   severity: low
#   remediation: Send text, or attach a detector that reads this kind of content.
#   mode: shadow
deny contains {"id": "GUARD-010", "message": message, "pointers": pointers} if {
	count(unread) > 0
	pointers := {entry.pointer | some entry in unread}
	reasons := {entry.reason | some entry in unread}
	message := sprintf("Not inspected: %s.", [concat(", ", reasons)])
}

unread contains entry if {
	some entry in input.coverage.skipped
	entry.reason != "credential"
}
