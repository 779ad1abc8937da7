# METADATA
# title: Web attacks
# description: >-
#   What the detector web finds in path, query, headers and form values. Without that detector these rules are silent.
#   It is a tripwire, no web application firewall.
package guard.rules.web

import data.guard.lib

# METADATA
# title: The request carries the payload of a web attack
# description: >-
#   Fires on a finding of the detector web from web_score on. Query languages and code read alike, so it watches until
#   you set its mode to enforce.
# custom:
#   id: WEB-001
#   severity: high
#   remediation: Send the value without what looks like code, or ask the operator to exempt the route.
#   mode: shadow
deny contains {"id": "WEB-001", "message": message, "pointers": pointers} if {
	input.stage == "request"
	found := payloads
	count(found) > 0
	pointers := {finding.pointer | some finding in found}
	kinds := sort({finding.type | some finding in found})
	message := sprintf("The request carries %s.", [concat(", ", kinds)])
}

payloads := [finding |
	some finding in input.findings
	finding.detector == "web"
	finding.score >= lib.setting("web_score", 0.7)
]
