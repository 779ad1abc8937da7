package guard.rules.budgets_test

import data.guard.rules.budgets

asked(subject, route, score) := {
	"stage": "request",
	"subject": object.union({"authenticated": true, "tenant": "acme", "roles": ["dev"]}, subject),
	"resource": {"route": route},
	"anomaly": {"score": score},
}

minute := {"key": ["tenant", "model"], "budget": {"requests": 100}, "window": "1m"}

due(document, settings) := duties if {
	duties := budgets.obligations with input as document
		with data.guard.settings as settings
}

only(condition) := due(asked({}, "/v1/**", 0), {"budgets": [object.union(minute, condition)]})

test_without_settings_there_is_no_budget if count(due(asked({"authenticated": false}, "/v1/**", 1), {})) == 0

test_a_budget_is_a_limit if {
	only({}) == {
		{
			"id": "BUD-001",
			"type": "limit",
			"key": ["tenant", "model"],
			"budget": {"requests": 100},
			"window": "1m",
		},
	}
}

test_several_budgets_hold_at_once if {
	day := {"key": ["subject"], "budget": {"tokens": 200000}, "window": "1d"}
	count(due(asked({}, "/v1/**", 0), {"budgets": [minute, day]})) == 2
}

test_a_budget_may_be_for_some_tenants if {
	count(only({"tenants": ["acme"]})) == 1
	count(only({"tenants": ["other"]})) == 0
}

test_a_budget_may_be_for_some_routes if {
	count(only({"routes": ["/v1/**"]})) == 1
	count(only({"routes": ["/other"]})) == 0
}

test_a_budget_may_be_for_some_roles if {
	count(only({"roles": ["dev", "guest"]})) == 1
	count(only({"roles": ["guest"]})) == 0
	count(only({"except_roles": ["dev"]})) == 0
}

stingy := {"anonymous_budget": {"budget": {"requests": 5}, "window": "1m"}}

test_anonymous_callers_are_counted_by_address if {
	due(asked({"authenticated": false}, "/v1/**", 0), stingy) == {
		{
			"id": "BUD-002",
			"type": "limit",
			"key": ["client"],
			"budget": {"requests": 5},
			"window": "1m",
		},
	}
	count(due(asked({}, "/v1/**", 0), stingy)) == 0
}

slow := {"unusual_budget": {"score": 0.6, "budget": {"requests": 10}, "window": "1m"}}

test_unusual_behaviour_is_held_to_a_small_budget if {
	due(asked({}, "/v1/**", 0.6), slow) == {
		{
			"id": "BUD-003",
			"type": "limit",
			"key": ["subject"],
			"budget": {"requests": 10},
			"window": "1m",
		},
	}
	count(due(asked({}, "/v1/**", 0.599), slow)) == 0
}

test_an_answer_takes_nothing if {
	answered := object.union(asked({"authenticated": false}, "/v1/**", 1), {"stage": "response"})
	count(due(answered, object.union(object.union(slow, stingy), {"budgets": [minute]}))) == 0
}
