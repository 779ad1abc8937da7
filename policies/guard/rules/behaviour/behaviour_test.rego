package guard.rules.behaviour_test

import data.guard.rules.behaviour

seen(score, features) := {"stage": "request", "anomaly": {"score": score, "features": features}}

rate := {"name": "rate", "value": 40, "expected": 2, "share": 0.75}

size := {"name": "size", "value": 9, "expected": 3, "share": 0.25}

test_the_unusual_is_denied_with_its_shares if {
	behaviour.deny == {
		{
			"id": "BEH-001",
			"message": "Unusual for this caller: rate (0.75), size (0.25).",
			"pointers": [],
		},
	} with input as seen(0.8, [rate, size])
}

test_the_usual_is_let_in if {
	count(behaviour.deny) == 0 with input as seen(0.799, [rate])
}

# 0.7 is the most that the shipped model gives a newcomer, or a size alone.
test_a_newcomer_is_let_in_unless_the_owner_wants_otherwise if {
	count(behaviour.deny) == 0 with input as seen(0.7, [rate])
	count(behaviour.deny) == 1 with input as seen(0.7, [rate])
		with data.guard.settings as {"anomaly_threshold": 0.7}
}

test_a_score_without_features_is_denied_too if {
	some reason in behaviour.deny with input as seen(1, [])
	reason.message == "Unusual for this caller: the score alone."
}

test_the_threshold_can_be_set if {
	count(behaviour.deny) == 0 with input as seen(0.9, [rate])
		with data.guard.settings as {"anomaly_threshold": 0.95}
	count(behaviour.deny) == 1 with input as seen(0.5, [rate])
		with data.guard.settings as {"anomaly_threshold": 0.5}
}

test_the_answer_is_not_judged if {
	answered := object.union(seen(1, [rate]), {"stage": "response"})
	count(behaviour.deny) == 0 with input as answered
}
