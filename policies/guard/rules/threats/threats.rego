# METADATA
# title: Threats
# description: >-
#   What an injection detector finds, by whose words it stands in. Text that a tool brought was written by somebody who
#   is not the caller, so less is enough there. Without such a detector these rules are silent.
package guard.rules.threats

import data.guard.lib

# METADATA
# title: Instructions in what a tool brought
# description: >-
#   Fires on a finding with the provenance tool: a web page, a file, a mail or a record that speaks to the model. The
#   threshold is threat_score_source.
# custom:
#   id: THR-001
#   severity: critical
#   remediation: Take the result of this tool out of the conversation, and look at where it came from.
#   mode: enforce
deny contains {"id": "THR-001", "message": message, "pointers": pointers} if {
	input.stage == "request"
	count(threats) > 0
	pointers := above({"tool"}, lib.setting("threat_score_source", 0.5))
	count(pointers) > 0
	message := "What a tool brought tries to instruct the model."
}

# METADATA
# title: The caller talks against the instructions
# description: >-
#   Fires on a finding in words of the caller, the assistant or an unknown position, from threat_score_user on. People
#   also ask about attacks, so it watches until you set its mode to enforce.
# custom:
#   id: THR-002
#   severity: high
#   remediation: Say it in other words.
#   mode: shadow
deny contains {"id": "THR-002", "message": message, "pointers": pointers} if {
	input.stage == "request"
	count(threats) > 0
	pointers := above({"user", "assistant", "unknown", "metadata"}, lib.setting("threat_score_user", 0.8))
	count(pointers) > 0
	message := "The request tries to overrule the instructions of the model."
}

# METADATA
# title: Instructions in the definition of a tool
# description: >-
#   Fires on a finding in names, descriptions and schemas of tools, and in keys: a tool server that describes its tools
#   as orders to the model. The threshold is threat_score_definition.
# custom:
#   id: THR-003
#   severity: critical
#   remediation: Take the tool out of the request, and look at the server that describes it.
#   mode: enforce
deny contains {"id": "THR-003", "message": message, "pointers": pointers} if {
	input.stage == "request"
	count(threats) > 0
	pointers := above({"definition", "key"}, lib.setting("threat_score_definition", 0.5))
	count(pointers) > 0
	message := "The definition of a tool tries to instruct the model."
}

# METADATA
# title: After a doubtful source, guarded tools rest
# description: >-
#   Speaks once threat_score_tools is given. A finding with the provenance tool, weaker than THR-001 asks for, is let in,
#   but not together with tools that tool_roles guards, whatever role the caller has: it is not the caller who speaks.
# custom:
#   id: THR-004
#   severity: high
#   remediation: Send the request without these tools, or without the result of the tool.
#   mode: enforce
deny contains {"id": "THR-004", "message": message, "pointers": pointers} if {
	input.stage == "request"
	score := data.guard.settings.threat_score_tools
	count(threats) > 0
	pointers := above({"tool"}, score)
	count(pointers) > 0
	guarded := object.keys(data.guard.settings.tool_roles)
	tools := {name | some name in input.ai.tools; lib.listed(name, guarded)}
	count(tools) > 0
	message := sprintf("What a tool brought is doubtful, and %s is offered.", [concat(", ", tools)])
}

threats contains finding if {
	some finding in input.findings
	finding.detector in lib.setting("threat_detectors", {"injection"})
}

above(provenances, score) := {finding.pointer |
	some finding in threats
	finding.provenance in provenances
	finding.score >= score
}
