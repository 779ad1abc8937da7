package guard_test

test_the_entrypoint_answers_what_the_rules_say if {
	denied := {"id": "T-001", "message": "no"}
	decision := data.guard.decision with data.guard.rules as {"one": {"deny": {denied}}}
	decision == {"allow": false, "reasons": {denied}, "obligations": set(), "would_deny": set()}
}
