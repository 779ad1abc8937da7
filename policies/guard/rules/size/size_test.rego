package guard.rules.size_test

import data.guard.rules.size

asked(tokens, estimate, bytes) := {
	"stage": "request",
	"ai": {"max_tokens": tokens, "tokens_estimate": estimate},
	"context": {"size_bytes": bytes},
}

test_an_ordinary_request_is_let_in if {
	count(size.deny) == 0 with input as asked(1000, 300, 2048)
}

test_no_token_limit_is_not_too_many if {
	count(size.deny) == 0 with input as asked(null, 0, 0)
}

test_the_bound_itself_is_let_in if {
	count(size.deny) == 0 with input as asked(131072, 1000000, 8388608)
}

test_too_many_tokens_are_denied if {
	size.deny == {
		{
			"id": "SIZ-001",
			"message": "The number of tokens asked for is 131073, the bound is 131072.",
			"pointers": [],
		},
	} with input as asked(131073, 0, 0)
}

test_each_bound_that_is_passed_is_named if {
	count(size.deny) == 3 with input as asked(131073, 1000001, 8388609)
}

test_the_bounds_can_be_set if {
	settings := {"max_tokens": 10, "max_prompt_tokens": 10, "max_request_bytes": 10}
	count(size.deny) == 3 with input as asked(11, 11, 11)
		with data.guard.settings as settings
}

test_the_answer_is_not_measured if {
	answered := object.union(asked(131073, 0, 0), {"stage": "response"})
	count(size.deny) == 0 with input as answered
}
