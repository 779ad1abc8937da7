# METADATA
# title: Behaviour
package guard.rules.behaviour

import data.guard.lib

# METADATA
# title: Unusual behaviour is stopped
# description: >-
#   Compares the request with what is usual for the same caller. The threshold is anomaly_threshold. Newcomers score at
#   most 0.7, and so does a size alone: from 0.7 down the threshold denies these too.
# custom:
#   id: BEH-001
#   severity: high
#   remediation: Slow down, or ask the operator to raise anomaly_threshold if this traffic is meant.
#   mode: enforce
deny contains {"id": "BEH-001", "message": message, "pointers": []} if {
	input.stage == "request"
	input.anomaly.score >= lib.setting("anomaly_threshold", 0.8)
	message := sprintf("Unusual for this caller: %s.", [shares])
}

shares := concat(", ", [share |
	some feature in input.anomaly.features
	feature.share > 0
	share := sprintf("%s (%v)", [feature.name, feature.share])
]) if {
	some feature in input.anomaly.features
	feature.share > 0
} else := "the score alone"
