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

by_role(score, roles) := object.union(seen(score, [rate]), {"subject": {"roles": roles}})

levels := {"anomaly_thresholds": {"guest": 0.5, "batch": 0.95}}

test_a_role_has_a_threshold_of_its_own if {
	count(behaviour.deny) == 1 with input as by_role(0.5, ["guest"])
		with data.guard.settings as levels
	count(behaviour.deny) == 0 with input as by_role(0.94, ["batch"])
		with data.guard.settings as levels
}

test_of_several_roles_the_strictest_counts if {
	count(behaviour.deny) == 1 with input as by_role(0.5, ["batch", "guest"])
		with data.guard.settings as levels
}

test_other_roles_keep_the_common_threshold if {
	count(behaviour.deny) == 1 with input as by_role(0.8, ["dev"])
		with data.guard.settings as levels
	count(behaviour.deny) == 0 with input as by_role(0.79, ["dev"])
		with data.guard.settings as levels
}

test_a_lower_threshold_can_be_watched if {
	behaviour.deny == {
		{
			"id": "BEH-002",
			"message": "Less usual for this caller: rate (0.75).",
			"pointers": [],
		},
	} with input as seen(0.6, [rate])
		with data.guard.settings as {"anomaly_watch": 0.6}
	count(behaviour.deny) == 0 with input as seen(0.59, [rate])
		with data.guard.settings as {"anomaly_watch": 0.6}
}

carrying(score, types) := object.union(seen(score, [rate]), {
	"resource": {"provider": null},
	"ai": {"operation": "chat"},
	"findings": [{"type": type, "detector": "pii", "score": 1, "pointer": "/messages/0/content"} | some type in types],
})

test_with_personal_data_less_is_enough if {
	behaviour.deny == {
		{
			"id": "BEH-003",
			"message": "Unusual for this caller, with personal data: rate (0.75).",
			"pointers": {"/messages/0/content"},
		},
	} with input as carrying(0.6, ["EMAIL_ADDRESS"])
		with data.guard.settings as {"anomaly_threshold_personal": 0.6}
}

test_without_personal_data_it_is_not if {
	count(behaviour.deny) == 0 with input as carrying(0.6, ["URL"])
		with data.guard.settings as {"anomaly_threshold_personal": 0.6}
	count(behaviour.deny) == 0 with input as carrying(0.59, ["EMAIL_ADDRESS"])
		with data.guard.settings as {"anomaly_threshold_personal": 0.6}
}
