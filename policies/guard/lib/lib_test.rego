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
	weak := {"type": "A", "detector": "pii", "score": 0.399, "pointer": "", "count": 1}
	sure := {"type": "B", "detector": "pii", "score": 0.4, "pointer": "", "count": 1}
	lib.confident == {sure} with input.findings as [weak, sure]
		with data.guard.settings as {}
}
