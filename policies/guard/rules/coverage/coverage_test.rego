package guard.rules.coverage_test

import data.guard.rules.coverage

covered(stage, skipped, incomplete) := {
	"stage": stage,
	"coverage": {"inspected": ["/messages/0/content"], "skipped": skipped, "incomplete": incomplete},
}

late := {"detector": "pii", "reason": "deadline"}

image := {"pointer": "/messages/0/content/1", "reason": "image"}

test_a_finished_inspection_is_let_in if {
	count(coverage.deny) == 0 with input as covered("request", [], [])
}

test_an_unfinished_inspection_is_denied if {
	coverage.deny == {
		{
			"id": "GUARD-001",
			"message": "Not finished: pii (deadline).",
			"pointers": [],
		},
	} with input as covered("request", [], [late])
}

test_an_unfinished_inspection_of_an_answer_is_denied if {
	some reason in coverage.deny with input as covered("response", [], [late])
	reason.id == "GUARD-001"
}

test_all_unfinished_detectors_are_named if {
	other := {"detector": "secrets", "reason": "error"}
	some reason in coverage.deny with input as covered("request", [], [other, late])
	reason.message == "Not finished: pii (deadline), secrets (error)."
}

test_a_skipped_position_is_told if {
	coverage.deny == {
		{
			"id": "GUARD-010",
			"message": "Not inspected: image.",
			"pointers": {"/messages/0/content/1"},
		},
	} with input as covered("request", [image], [])
}

test_what_is_never_inspected_is_not_told_again if {
	headers := {"pointer": "headers", "reason": "not_inspected"}
	count(coverage.deny) == 0 with input as covered("request", [headers], [])
}

test_padding_past_the_limit_is_denied if {
	past := {"pointer": "/messages/1/content", "reason": "inspect_limit"}
	some reason in coverage.deny with input as covered("request", [past], [])
	reason == {
		"id": "GUARD-002",
		"message": "The text is longer than what is inspected.",
		"pointers": {"/messages/1/content"},
	}
}
