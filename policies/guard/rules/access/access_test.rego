package guard.rules.access_test

import data.guard.rules.access

caller := {"authenticated": true, "tenant": "acme", "roles": ["dev"]}

asked(route, subject, networks) := {
	"stage": "request",
	"subject": object.union(caller, subject),
	"resource": {"route": route},
	"context": {"networks": networks},
}

told(document, settings) := reasons if {
	reasons := access.deny with input as document
		with data.guard.tenants as {"acme": {}}
		with data.guard.settings as settings
}

anonymous := {"authenticated": false, "tenant": null, "roles": []}

known := {"authenticated_only": true, "known_tenants_only": true, "anonymous_routes": ["/public/**"]}

test_without_settings_everybody_is_let_in if count(told(asked("/v1/**", anonymous, []), {})) == 0

test_a_setting_of_false_is_none if {
	settings := {"authenticated_only": false, "known_tenants_only": false}
	count(told(asked("/v1/**", anonymous, []), settings)) == 0
}

test_an_anonymous_caller_is_denied if {
	told(asked("/v1/**", {"authenticated": false}, []), known) == {
		{
			"id": "ACC-001",
			"message": "The caller is anonymous.",
			"pointers": [],
		},
	}
}

test_a_known_caller_is_let_in if count(told(asked("/v1/**", {}, []), known)) == 0

test_some_routes_are_open_to_everybody if count(told(asked("/public/**", anonymous, []), known)) == 0

test_a_caller_without_a_tenant_is_denied if {
	told(asked("/v1/**", {"tenant": null}, []), known) == {
		{
			"id": "ACC-002",
			"message": "The caller has no tenant.",
			"pointers": [],
		},
	}
}

test_a_tenant_that_is_not_configured_is_denied if {
	some reason in told(asked("/v1/**", {"tenant": "acmee"}, []), known)
	reason.message == "Tenant acmee is not known."
}

routes := {"route_roles": {"/admin/**": ["ops", "audit"]}, "route_networks": {"/admin/**": ["office"]}}

test_a_route_asks_for_a_role if {
	told(asked("/admin/**", {}, ["office"]), routes) == {
		{
			"id": "ACC-003",
			"message": "/admin/** is for: ops, audit.",
			"pointers": [],
		},
	}
}

test_a_route_asks_for_a_network if {
	told(asked("/admin/**", {"roles": ["audit"]}, ["lab"]), routes) == {
		{
			"id": "ACC-004",
			"message": "/admin/** is for callers in: office.",
			"pointers": [],
		},
	}
}

test_role_and_network_together_are_let_in if {
	count(told(asked("/admin/**", {"roles": ["dev", "ops"]}, ["lab", "office"]), routes)) == 0
}

test_other_routes_ask_for_nothing if count(told(asked("/v1/**", anonymous, []), routes)) == 0

test_a_route_that_is_null_asks_for_nothing if count(told(asked(null, anonymous, []), routes)) == 0

test_a_role_is_used_from_its_networks if {
	settings := {"role_networks": {"ops": ["office"], "dev": ["office", "lab"]}}
	told(asked("/v1/**", {"roles": ["dev", "ops"]}, ["lab"]), settings) == {
		{
			"id": "ACC-005",
			"message": "The role ops is for callers in: office.",
			"pointers": [],
		},
	}
	count(told(asked("/v1/**", {"roles": ["dev", "ops"]}, ["office"]), settings)) == 0
	count(told(asked("/v1/**", {"roles": ["guest"]}, []), settings)) == 0
}

test_the_answer_is_not_judged_again if {
	answered := object.union(asked("/admin/**", anonymous, []), {"stage": "response"})
	count(told(answered, object.union(known, routes))) == 0
}
