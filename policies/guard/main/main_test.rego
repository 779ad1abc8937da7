package guard.main_test

import data.guard.main

denied := {"id": "T-001", "message": "no"}

watched := {"id": "T-002", "message": "perhaps"}

duty := {"id": "T-003", "type": "redact", "entity": "EMAIL_ADDRESS", "operator": "mask"}

test_no_rule_allows if {
	main.decision == {"allow": true, "reasons": set(), "obligations": set(), "would_deny": set()} with data.guard.rules as {}
}

test_a_reason_denies if {
	decision := main.decision with data.guard.rules as {"one": {"deny": {denied}}}
	decision.allow == false
	decision.reasons == {denied}
}

test_rules_of_all_packages_are_collected if {
	decision := main.decision with data.guard.rules as {
		"one": {"deny": {denied}},
		"two": {"deny": {watched}, "obligations": {duty}},
	}
		with data.guard.modes as {}
	decision.reasons == {denied, watched}
	decision.obligations == {duty}
}

test_a_shadow_rule_only_watches if {
	decision := main.decision with data.guard.rules as {"one": {"deny": {denied, watched}}}
		with data.guard.modes as {"T-002": "shadow"}
	decision.reasons == {denied}
	decision.would_deny == {watched}
}

test_a_shadow_obligation_is_dropped if {
	decision := main.decision with data.guard.rules as {"one": {"obligations": {duty}}}
		with data.guard.modes as {"T-003": "shadow"}
	decision.allow
	count(decision.obligations) == 0
}

test_a_rule_without_a_mode_is_enforced if {
	decision := main.decision with data.guard.rules as {"one": {"deny": {{"message": "no id"}}}}
		with data.guard.modes as {"T-001": "enforce"}
	decision.allow == false
}
