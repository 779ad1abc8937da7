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
