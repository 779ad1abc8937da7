# METADATA
# title: Behaviour
package guard.rules.behaviour

import data.guard.lib

# METADATA
# title: Unusual behaviour is stopped
# description: >-
#   Compares the request with what is usual for the same caller. The threshold is anomaly_threshold, or the lowest that
#   anomaly_thresholds has for a role of the caller. Newcomers score at most 0.7, and so does a size alone: from 0.7 down
#   the threshold denies these too.
# custom:
#   id: BEH-001
#   severity: high
#   remediation: Slow down, or ask the operator to raise anomaly_threshold if this traffic is meant.
#   mode: enforce
deny contains {"id": "BEH-001", "message": message, "pointers": []} if {
	input.stage == "request"
	input.anomaly.score >= threshold
	message := sprintf("Unusual for this caller: %s.", [shares])
}

# METADATA
# title: Unusual behaviour is told before it is stopped
# description: >-
#   Speaks once anomaly_watch is given, and denies nothing: it shows in the log whom a lower threshold would have stopped.
# custom:
#   id: BEH-002
#   severity: low
#   remediation: Nothing to do. Compare the records with the traffic that is meant, then lower anomaly_threshold.
#   mode: shadow
deny contains {"id": "BEH-002", "message": message, "pointers": []} if {
	input.stage == "request"
	input.anomaly.score >= data.guard.settings.anomaly_watch
	message := sprintf("Less usual for this caller: %s.", [shares])
}

# METADATA
# title: Unusual behaviour with personal data is stopped earlier
# description: >-
#   Speaks once anomaly_threshold_personal is given: a lower threshold for requests that carry personal data out of the
#   tenant or to a model, because that is how data is carried off.
# custom:
#   id: BEH-003
#   severity: high
#   remediation: Slow down, or ask the operator to raise anomaly_threshold_personal if this traffic is meant.
#   mode: enforce
deny contains {"id": "BEH-003", "message": message, "pointers": pointers} if {
	input.stage == "request"
	input.anomaly.score >= data.guard.settings.anomaly_threshold_personal
	lib.exposed
	pointers := {finding.pointer | some finding in lib.confident; lib.personal(finding)}
	count(pointers) > 0
	message := sprintf("Unusual for this caller, with personal data: %s.", [shares])
}

threshold := min(thresholds) if {
	count(thresholds) > 0
} else := lib.setting("anomaly_threshold", 0.8)

thresholds contains value if {
	some role, value in data.guard.settings.anomaly_thresholds
	role in input.subject.roles
}

shares := concat(", ", [share |
	some feature in input.anomaly.features
	feature.share > 0
	share := sprintf("%s (%v)", [feature.name, feature.share])
]) if {
	some feature in input.anomaly.features
	feature.share > 0
} else := "the score alone"
