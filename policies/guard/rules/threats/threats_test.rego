package guard.rules.threats_test

import data.guard.rules.threats

found(provenance, score) := {
	"type": "PROMPT_INJECTION",
	"detector": "injection",
	"score": score,
	"pointer": "/messages/2/content",
	"provenance": provenance,
}

asked(findings) := {"stage": "request", "ai": {"tools": ["run_shell", "search"]}, "findings": findings}

told(findings, settings) := reasons if {
	reasons := threats.deny with input as asked(findings)
		with data.guard.settings as settings
}

ids(findings, settings) := {reason.id | some reason in told(findings, settings)}

test_instructions_of_a_tool_are_denied if {
	told([found("tool", 0.5)], {}) == {
		{
			"id": "THR-001",
			"message": "What a tool brought tries to instruct the model.",
			"pointers": {"/messages/2/content"},
		},
	}
	count(told([found("tool", 0.49)], {})) == 0
}

test_the_caller_is_judged_by_another_threshold if {
	ids([found("user", 0.8)], {}) == {"THR-002"}
	ids([found("unknown", 0.9)], {}) == {"THR-002"}
	count(told([found("user", 0.79)], {})) == 0
}

test_the_owners_own_instructions_are_left_alone if count(told([found("system", 1)], {})) == 0

test_a_definition_that_instructs_is_denied if {
	ids([found("definition", 0.5)], {}) == {"THR-003"}
	ids([found("key", 0.5)], {}) == {"THR-003"}
	count(told([found("definition", 0.49)], {})) == 0
}

test_thresholds_can_be_set if {
	settings := {"threat_score_source": 0.9, "threat_score_user": 0.3, "threat_score_definition": 0.9}
	ids([found("tool", 0.8), found("user", 0.3), found("definition", 0.8)], settings) == {"THR-002"}
}

test_findings_of_other_detectors_are_no_threats if {
	other := object.union(found("tool", 1), {"detector": "pii"})
	count(told([other], {})) == 0
	ids([other], {"threat_detectors": ["pii"]}) == {"THR-001"}
}

resting := {"threat_score_tools": 0.2, "tool_roles": {"run_*": ["ops"]}}

test_after_a_doubtful_source_guarded_tools_rest if {
	told([found("tool", 0.3)], resting) == {
		{
			"id": "THR-004",
			"message": "What a tool brought is doubtful, and run_shell is offered.",
			"pointers": {"/messages/2/content"},
		},
	}
}

test_they_do_not_rest_after_the_callers_own_words if count(told([found("user", 0.3)], resting)) == 0

test_other_tools_may_go_on if {
	count(told([found("tool", 0.3)], {"threat_score_tools": 0.2, "tool_roles": {"delete": ["ops"]}})) == 0
}

test_below_the_score_they_may_go_on if count(told([found("tool", 0.1)], resting)) == 0

test_the_answer_is_not_judged if {
	answered := object.union(asked([found("tool", 1), found("user", 1)]), {"stage": "response"})
	count(threats.deny) == 0 with input as answered
}
