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

test_a_credential_is_not_told_again if {
	token := {"pointer": "headers/authorization", "reason": "credential"}
	count(coverage.deny) == 0 with input as covered("request", [token], [])
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

large(route, operation) := object.union(
	covered("request", [{"pointer": "", "reason": "body_limit"}], []),
	{"resource": {"route": route, "provider": null}, "ai": {"operation": operation}},
)

test_the_unread_rest_of_a_large_body_does_not_go_to_a_model if {
	some reason in coverage.deny with input as large("/v1/**", "chat")
	reason.id == "GUARD-002"
}

test_the_unread_rest_of_a_large_body_may_stay_in_the_app if {
	{reason.id | some reason in coverage.deny} == {"GUARD-010"} with input as large("/upload", null)
}

test_the_owner_may_let_the_rest_go_on_a_route if {
	{reason.id | some reason in coverage.deny} == {"GUARD-010"} with input as large("/v1/files", "chat")
		with data.guard.settings as {"large_body_routes": ["/v1/files"]}
	{reason.id | some reason in coverage.deny} == {"GUARD-002", "GUARD-010"} with input as large("/v1/chat", "chat")
		with data.guard.settings as {"large_body_routes": ["/v1/files"]}
}
