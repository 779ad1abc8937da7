package guard.rules.web_test

import data.guard.rules.web

found(type, detector, score) := {
	"type": type,
	"detector": detector,
	"score": score,
	"pointer": "query/~0123456789ab",
	"provenance": "unknown",
}

told(findings, settings) := reasons if {
	reasons := web.deny with input as {"stage": "request", "findings": findings}
		with data.guard.settings as settings
}

test_a_payload_is_told_with_its_kinds if {
	told([found("WEB_XSS", "web", 0.8), found("WEB_SQLI", "web", 0.9)], {}) == {
		{
			"id": "WEB-001",
			"message": "The request carries WEB_SQLI, WEB_XSS.",
			"pointers": {"query/~0123456789ab"},
		},
	}
}

test_a_weak_sign_is_left_alone if count(told([found("WEB_SQLI", "web", 0.69)], {})) == 0

test_the_threshold_can_be_set if {
	count(told([found("WEB_SQLI", "web", 0.6)], {"web_score": 0.5})) == 1
	count(told([found("WEB_SQLI", "web", 0.8)], {"web_score": 0.9})) == 0
}

test_other_detectors_are_no_affair_of_it if count(told([found("PROMPT_INJECTION", "injection", 1)], {})) == 0

test_an_answer_is_left_alone if {
	reasons := web.deny with input as {"stage": "response", "findings": [found("WEB_XSS", "web", 0.9)]}
	count(reasons) == 0
}
