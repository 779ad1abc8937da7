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
