package guard.rules.residency_test

import data.guard.rules.residency

providers := {
	"frankfurt": {"region": "eu", "external": true},
	"virginia": {"region": "us", "external": true},
	"cellar": {"region": null, "external": false},
}

tenants := {"acme": {"regions": ["eu", "ch"]}, "open": {"regions": []}}

asked(tenant, provider, types) := {
	"stage": "request",
	"subject": {"tenant": tenant},
	"resource": {"provider": provider},
	"ai": {"operation": "chat"},
	"findings": [{"type": type, "detector": "pii", "score": 1, "pointer": "/messages/0/content"} | some type in types],
}

told(document, settings) := reasons if {
	reasons := residency.deny with input as document
		with data.guard.providers as providers
		with data.guard.tenants as tenants
		with data.guard.settings as settings
}

test_a_region_of_the_tenant_is_let_in if count(told(asked("acme", "frankfurt", []), {})) == 0

test_another_region_is_denied if {
	told(asked("acme", "virginia", []), {}) == {
		{
			"id": "RES-001",
			"message": "Data of tenant acme may go to eu, ch; this goes to virginia (us).",
			"pointers": [],
		},
	}
}

test_a_provider_without_a_region_could_be_anywhere if {
	some reason in told(asked("acme", "cellar", []), {})
	reason.message == "Data of tenant acme may go to eu, ch; this goes to cellar (no region)."
}

test_a_provider_that_nobody_named_could_be_anywhere if {
	some reason in told(asked("acme", null, []), {})
	reason.message == "Data of tenant acme may go to eu, ch; this goes to an unknown provider (no region)."
	count(told(asked("acme", "nobody", []), {})) == 1
}

test_a_tenant_without_regions_may_go_anywhere if {
	count(told(asked("open", "virginia", []), {})) == 0
	count(told(asked("other", "virginia", []), {})) == 0
	count(told(asked(null, null, []), {})) == 0
}

test_what_an_app_does_for_itself_goes_nowhere if {
	own := object.union(asked("acme", null, ["EMAIL_ADDRESS"]), {"ai": {"operation": null}})
	count(told(own, {"allowed_regions": ["eu"], "personal_data_regions": ["eu"]})) == 0
}

test_the_owners_regions_hold_for_everybody if {
	count(told(asked(null, "frankfurt", []), {"allowed_regions": ["eu"]})) == 0
	told(asked(null, "virginia", []), {"allowed_regions": ["eu"]}) == {
		{
			"id": "RES-002",
			"message": "Allowed is eu; this goes to virginia (us).",
			"pointers": [],
		},
	}
}

personal := {"personal_data_regions": ["eu"]}

test_personal_data_stays_in_its_regions if {
	told(asked(null, "virginia", ["EMAIL_ADDRESS", "CREDIT_CARD", "URL"]), personal) == {
		{
			"id": "RES-003",
			"message": "CREDIT_CARD, EMAIL_ADDRESS may go to eu; this goes to virginia (us).",
			"pointers": {"/messages/0/content"},
		},
	}
	count(told(asked(null, "frankfurt", ["EMAIL_ADDRESS"]), personal)) == 0
}

test_other_texts_may_go_anywhere if count(told(asked(null, "virginia", ["URL"]), personal)) == 0

test_the_answer_is_not_judged_again if {
	answered := object.union(asked("acme", "virginia", ["EMAIL_ADDRESS"]), {"stage": "response"})
	count(told(answered, object.union(personal, {"allowed_regions": ["eu"]}))) == 0
}
