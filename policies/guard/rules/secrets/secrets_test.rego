package guard.rules.secrets_test

import data.guard.rules.secrets

key := {"type": "AWS_ACCESS_KEY", "detector": "secrets", "score": 0.9, "pointer": "/messages/1/content", "count": 1}

token := {"type": "GITHUB_TOKEN", "detector": "secrets", "score": 1, "pointer": "/messages/0/content", "count": 1}

test_a_secret_in_a_request_is_denied if {
	secrets.deny == {
		{
			"id": "SEC-001",
			"message": "The request holds AWS_ACCESS_KEY, GITHUB_TOKEN.",
			"pointers": {"/messages/0/content", "/messages/1/content"},
		},
	} with input as {"stage": "request", "resource": {"provider": null}, "ai": {"operation": "chat"}, "findings": [key, token]}
}

test_a_secret_in_an_answer_is_denied if {
	secrets.deny == {
		{
			"id": "SEC-002",
			"message": "The answer holds GITHUB_TOKEN.",
			"pointers": {"/messages/0/content"},
		},
	} with input as {"stage": "response", "resource": {"provider": null}, "ai": {"operation": "chat"}, "findings": [token]}
}

test_a_weak_finding_is_let_in if {
	weak := object.union(key, {"score": 0.1})
	count(secrets.deny) == 0 with input as {"stage": "request", "resource": {"provider": null}, "ai": {"operation": "chat"}, "findings": [weak]}
}

test_findings_of_other_detectors_are_not_secrets if {
	address := {"type": "EMAIL_ADDRESS", "detector": "pii", "score": 1, "pointer": "", "count": 1}
	count(secrets.deny) == 0 with input as {"stage": "request", "findings": [address]}
}

test_an_app_may_hold_its_own_secrets if {
	count(secrets.deny) == 0 with input as {
		"stage": "response",
		"findings": [token],
		"resource": {"provider": "own"},
		"ai": {"operation": null},
	}
		with data.guard.providers as {"own": {"external": false}}
}

hiding(stage) := {"stage": stage, "resource": {"provider": null}, "ai": {"operation": "chat"}, "findings": [key, token]}

test_a_kind_that_is_hidden_is_not_denied if {
	settings := {"secrets_redact": ["GITHUB_TOKEN"]}
	secrets.obligations == {
		{
			"id": "SEC-003",
			"type": "redact",
			"entity": "GITHUB_TOKEN",
			"operator": "replace",
		},
	} with input as hiding("request")
		with data.guard.settings as settings
	some reason in secrets.deny with input as hiding("response")
		with data.guard.settings as settings
	reason.message == "The answer holds AWS_ACCESS_KEY."
}

test_without_the_setting_nothing_is_hidden if {
	count(secrets.obligations) == 0 with input as hiding("request")
}

at_home := {"stage": "response", "resource": {"provider": "own"}, "ai": {"operation": null}, "findings": [key]}

test_secrets_can_be_denied_everywhere if {
	secrets.deny == {
		{
			"id": "SEC-004",
			"message": "Found: AWS_ACCESS_KEY.",
			"pointers": {"/messages/1/content"},
		},
	} with input as at_home
		with data.guard.providers as {"own": {"external": false}}
		with data.guard.settings as {"secrets_everywhere": true}
}

test_what_is_hidden_from_models_is_denied_where_nothing_hides_it if {
	count(secrets.deny) == 1 with input as at_home
		with data.guard.providers as {"own": {"external": false}}
		with data.guard.settings as {"secrets_everywhere": true, "secrets_redact": ["AWS_ACCESS_KEY"]}
}

test_secrets_are_not_denied_twice if {
	{r.id | some r in secrets.deny} == {"SEC-001"} with input as hiding("request")
		with data.guard.settings as {"secrets_everywhere": true}
}

test_nothing_found_is_nothing_denied if {
	count(secrets.deny) == 0 with input as object.union(at_home, {"findings": []})
		with data.guard.providers as {"own": {"external": false}}
		with data.guard.settings as {"secrets_everywhere": true}
}
