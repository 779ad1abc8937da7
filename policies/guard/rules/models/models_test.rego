package guard.rules.models_test

import data.guard.rules.models

tenants := {"acme": {"models": ["small", "large"]}, "open": {"models": []}}

asked(tenant, model) := {
	"stage": "request",
	"action": {"method": "POST"},
	"subject": {"tenant": tenant},
	"resource": {"model": model, "provider": null},
	"ai": {"operation": "chat"},
}

test_a_model_of_the_list_is_let_in if {
	count(models.deny) == 0 with input as asked("acme", "small")
		with data.guard.tenants as tenants
}

test_another_model_is_denied if {
	models.deny == {
		{
			"id": "MOD-001",
			"message": "Tenant acme may not use huge.",
			"pointers": ["/model"],
		},
	} with input as asked("acme", "huge")
		with data.guard.tenants as tenants
}

test_an_empty_list_means_any_model if {
	count(models.deny) == 0 with input as asked("open", "huge")
		with data.guard.tenants as tenants
}

test_a_tenant_that_is_not_configured_may_use_any_model if {
	count(models.deny) == 0 with input as asked("other", "huge")
		with data.guard.tenants as tenants
}

test_a_caller_without_a_tenant_may_use_any_model if {
	count(models.deny) == 0 with input as asked(null, "huge")
		with data.guard.tenants as tenants
}

test_a_tenant_with_a_list_names_its_model if {
	models.deny == {
		{
			"id": "MOD-002",
			"message": "Tenant acme has a list of models, and the call names none.",
			"pointers": [],
		},
	} with input as asked("acme", null)
		with data.guard.tenants as tenants
}

test_a_tenant_without_a_list_need_not_name_a_model if {
	count(models.deny) == 0 with input as asked("open", null)
		with data.guard.tenants as tenants
}

test_what_is_no_call_of_a_model_names_none if {
	other := object.union(asked("acme", null), {"ai": {"operation": null}})
	count(models.deny) == 0 with input as other
		with data.guard.tenants as tenants
	listing := object.union(asked("acme", null), {"action": {"method": "GET"}})
	count(models.deny) == 0 with input as listing
		with data.guard.tenants as tenants
}

test_the_answer_is_not_judged_again if {
	answered := object.union(asked("acme", "huge"), {"stage": "response"})
	count(models.deny) == 0 with input as answered
		with data.guard.tenants as tenants
}

denying(patterns) := {"denied_models": patterns}

test_a_denied_model_is_denied_for_everybody if {
	some reason in models.deny with input as asked(null, "GPT-3.5-turbo")
		with data.guard.tenants as {}
		with data.guard.settings as denying(["gpt-3.5*"])
	reason == {"id": "MOD-003", "message": "GPT-3.5-turbo may not be used.", "pointers": ["/model"]}
}

test_other_models_are_let_in if {
	count(models.deny) == 0 with input as asked(null, "gpt-4o")
		with data.guard.tenants as {}
		with data.guard.settings as denying(["gpt-3.5*"])
}

test_a_model_that_is_not_named_might_be_a_denied_one if {
	some reason in models.deny with input as asked(null, null)
		with data.guard.tenants as {}
		with data.guard.settings as denying(["gpt-3.5*"])
	reason.message == "A model that is not named may not be used."
}

test_a_model_whose_name_is_hidden_might_be_a_denied_one if {
	count(models.deny) == 1 with input as asked(null, "hmac:k1:00")
		with data.guard.tenants as {}
		with data.guard.settings as denying(["gpt-3.5*"])
}

test_an_empty_list_denies_no_model if {
	count(models.deny) == 0 with input as asked(null, null)
		with data.guard.tenants as {}
		with data.guard.settings as denying([])
}

test_a_call_of_no_model_needs_no_name if {
	count(models.deny) == 0 with input as object.union(asked(null, null), {"ai": {"operation": null}})
		with data.guard.tenants as {}
		with data.guard.settings as denying(["gpt-3.5*"])
	count(models.deny) == 0 with input as object.union(asked(null, null), {"action": {"method": "GET"}})
		with data.guard.tenants as {}
		with data.guard.settings as denying(["gpt-3.5*"])
}

bounded := {"acme": {"models": [], "max_tokens": 100}, "open": {"models": [], "max_tokens": null}}

asking(tenant, tokens) := object.union(asked(tenant, "small"), {"ai": {"max_tokens": tokens}})

test_the_bound_of_a_tenant_is_let_in if {
	count(models.deny) == 0 with input as asking("acme", 100)
		with data.guard.tenants as bounded
}

test_more_than_the_bound_of_a_tenant_is_denied if {
	models.deny == {
		{
			"id": "MOD-004",
			"message": "Tenant acme may ask for 100 tokens, and must say for how many.",
			"pointers": [],
		},
	} with input as asking("acme", 101)
		with data.guard.tenants as bounded
}

test_no_bound_at_all_is_more_than_any if {
	count(models.deny) == 1 with input as asking("acme", null)
		with data.guard.tenants as bounded
}

test_a_tenant_without_a_bound_may_ask_for_any_number if {
	count(models.deny) == 0 with input as asking("open", null)
		with data.guard.tenants as bounded
	count(models.deny) == 0 with input as asking("other", 1000000)
		with data.guard.tenants as bounded
}

test_only_calls_of_models_have_a_bound if {
	count(models.deny) == 0 with input as object.union(asking("acme", null), {"ai": {"operation": null}})
		with data.guard.tenants as bounded
	count(models.deny) == 0 with input as object.union(asking("acme", null), {"action": {"method": "GET"}})
		with data.guard.tenants as bounded
}
