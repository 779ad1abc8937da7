package guard.rules.example_test

import data.guard.rules.example

request := {
	"stage": "request",
	"action": {"method": "POST"},
	"resource": {"route": "/v1/**"},
	"ai": {"operation": "chat"},
}

test_chat_passes if {
	count(example.deny) == 0 with input as request
}

test_anything_else_is_noted if {
	other := object.union(request, {"ai": {"operation": null}})
	some reason in example.deny with input as other
	reason.id == "EX-001"
}
