package guard.lib_test

import data.guard.lib

test_a_setting_wins_over_its_default if {
	lib.setting("limit", 1) == 7 with data.guard.settings as {"limit": 7}
}

test_a_false_setting_wins_over_its_default if {
	lib.setting("flag", true) == false with data.guard.settings as {"flag": false}
}

test_without_a_setting_the_default_stands if {
	lib.setting("limit", 1) == 1 with data.guard.settings as {}
}

names := {"findings": [{"type": "PERSON", "score": 0.8}, {"type": "PERSON", "score": 0.55}]}

test_only_sure_names_are_acted_on if {
	count(lib.confident) == 1 with input as names with data.guard.settings as {}
}

test_scores_of_single_types_win_over_the_common_one if {
	settings := {"min_score": 0.9, "min_scores": {"PERSON": 0.5}}
	count(lib.confident) == 2 with input as names with data.guard.settings as settings
}

test_a_type_without_its_own_score_has_the_common_one if {
	count(lib.confident) == 1 with input as names with data.guard.settings as {"min_score": 0.7, "min_scores": {}}
}

test_a_model_call_to_an_unknown_provider_is_external if {
	lib.external with input as {"resource": {"provider": null}, "ai": {"operation": "chat"}}
		with data.guard.providers as {}
}

test_what_an_app_does_for_itself_is_not_external if {
	not lib.external with input as {"resource": {"provider": null}, "ai": {"operation": null}}
		with data.guard.providers as {}
}

test_a_provider_is_external_until_it_is_called_internal if {
	lib.external with input as {"resource": {"provider": "p"}}
		with data.guard.providers as {"p": {"pci": true}}
}

test_an_internal_provider_is_not_external if {
	not lib.external with input as {"resource": {"provider": "p"}}
		with data.guard.providers as {"p": {"external": false}}
}

internal := {"p": {"external": false}}

test_a_model_is_exposed_wherever_it_runs if {
	lib.exposed with input as {"resource": {"provider": "p"}, "ai": {"operation": "chat"}}
		with data.guard.providers as internal
}

test_what_an_app_does_for_itself_is_not_exposed if {
	not lib.exposed with input as {"resource": {"provider": "p"}, "ai": {"operation": null}}
		with data.guard.providers as internal
}

test_weak_findings_are_left_out if {
	weak := {"type": "A", "detector": "pii", "score": 0.399, "pointer": "", "provenance": "user", "count": 1}
	sure := {"type": "B", "detector": "pii", "score": 0.4, "pointer": "", "provenance": "user", "count": 1}
	lib.confident == {sure} with input.findings as [weak, sure]
		with data.guard.settings as {}
}

test_the_region_is_the_providers if {
	lib.region == "eu" with input as {"resource": {"provider": "p"}}
		with data.guard.providers as {"p": {"region": "eu"}}
}

test_an_unknown_provider_has_no_region if {
	not lib.region with input as {"resource": {"provider": null}}
		with data.guard.providers as {"p": {"region": "eu"}}
}

test_a_destination_has_a_name if {
	lib.destination == "p" with input as {"resource": {"provider": "p"}}
	lib.destination == "an unknown provider" with input as {"resource": {"provider": null}}
}

test_patterns_meet_names_without_regard_to_case if {
	lib.listed("GPT-3.5-turbo-0125", ["gpt-3.5*"])
	lib.listed("org/Model", ["other", "ORG/*"])
	not lib.listed("gpt-4o", ["gpt-3.5*"])
	not lib.listed("gpt-4o", [])
}

test_a_hidden_name_is_on_every_list if {
	lib.listed("hmac:k1:00", ["gpt-3.5*"])
}

test_one_of_the_roles_is_enough if {
	lib.has_role(["ops", "dev"]) with input.subject.roles as ["dev"]
	not lib.has_role(["ops"]) with input.subject.roles as ["dev"]
	not lib.has_role([]) with input.subject.roles as ["dev"]
}

test_one_of_the_networks_is_enough if {
	lib.in_network(["lab", "office"]) with input.context.networks as ["office"]
	not lib.in_network(["lab"]) with input.context.networks as []
}

test_personal_is_what_the_detector_pii_finds_and_what_is_named if {
	lib.personal({"type": "ES_NIF", "detector": "pii"})
	lib.personal({"type": "PERSON", "detector": "names"})
	not lib.personal({"type": "URL", "detector": "pii"})
	not lib.personal({"type": "BADGE", "detector": "names"})
}

test_what_is_personal_can_be_set if {
	lib.personal({"type": "BADGE", "detector": "names"}) with data.guard.settings as {"pii_entities": ["BADGE"]}
	not lib.personal({"type": "ES_NIF", "detector": "pii"}) with data.guard.settings as {"pii_keep": ["ES_NIF"]}
}

here := {"resource": {"route": "/v1/**"}, "subject": {"roles": ["dev"]}}

test_an_entry_concerns_its_routes_and_not_its_exceptions if {
	lib.concerns({}) with input as here
	lib.concerns({"routes": ["/v1/**"], "except_roles": ["ops"]}) with input as here
	not lib.concerns({"routes": ["/other"]}) with input as here
	not lib.concerns({"except_roles": ["dev"]}) with input as here
}
