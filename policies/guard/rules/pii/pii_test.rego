package guard.rules.pii_test

import data.guard.rules.pii

finding(type) := {"type": type, "detector": "pii", "score": 0.85, "pointer": "/messages/0/content", "count": 2}

asked(provider, findings) := {
	"stage": "request",
	"resource": {"provider": provider},
	"ai": {"operation": "chat"},
	"findings": findings,
}

answered(findings) := {"stage": "response", "resource": {"provider": "p"}, "findings": findings}

test_an_address_gets_a_pseudonym if {
	pii.obligations == {
		{
			"id": "PII-001",
			"type": "redact",
			"entity": "EMAIL_ADDRESS",
			"operator": "pseudonym",
		},
	} with input as asked("p", [finding("EMAIL_ADDRESS")])
}

test_an_unknown_provider_gets_pseudonyms if {
	count(pii.obligations) == 1 with input as asked(null, [finding("US_SSN")])
}

test_an_internal_provider_gets_the_data if {
	count(pii.obligations) == 0 with input as asked("p", [finding("EMAIL_ADDRESS")])
		with data.guard.providers as {"p": {"external": false}}
}

test_clean_text_is_left_alone if {
	count(pii.obligations) == 0 with input as asked("p", [])
	count(pii.deny) == 0 with input as asked("p", [])
}

test_every_other_entity_of_the_detector_counts if {
	some obligation in pii.obligations with input as asked("p", [finding("ES_NIF")])
	obligation.entity == "ES_NIF"
}

test_a_date_is_not_personal if {
	count(pii.obligations) == 0 with input as asked("p", [finding("DATE_TIME")])
}

test_an_entity_of_another_detector_counts_by_its_name if {
	found := object.union(finding("PERSON"), {"detector": "names"})
	some obligation in pii.obligations with input as asked("p", [found])
	obligation.entity == "PERSON"
}

test_entities_can_be_set if {
	found := object.union(finding("BADGE"), {"detector": "owner"})
	some obligation in pii.obligations with input as asked("p", [found])
		with data.guard.settings as {"pii_entities": ["BADGE"]}
	obligation.entity == "BADGE"
}

test_a_weak_finding_is_no_duty if {
	weak := object.union(finding("EMAIL_ADDRESS"), {"score": 0.2})
	count(pii.obligations) == 0 with input as asked("p", [weak])
}

test_a_card_is_denied if {
	pii.deny == {
		{
			"id": "PII-002",
			"message": "2 card number(s) for p.",
			"pointers": {"/messages/0/content"},
		},
	} with input as asked("p", [finding("CREDIT_CARD")])
}

test_a_card_is_denied_when_the_provider_is_unknown if {
	some reason in pii.deny with input as asked(null, [finding("CREDIT_CARD")])
	reason.message == "2 card number(s) for an unknown provider."
}

test_a_card_is_denied_to_a_provider_that_may_not_hold_it if {
	count(pii.deny) == 1 with input as asked("p", [finding("CREDIT_CARD")])
		with data.guard.providers as {"p": {"pci": false}}
}

test_a_provider_with_pci_gets_the_card_as_it_is if {
	count(pii.deny) == 0 with input as asked("p", [finding("CREDIT_CARD")])
		with data.guard.providers as {"p": {"pci": true}}
	count(pii.obligations) == 0 with input as asked("p", [finding("CREDIT_CARD")])
		with data.guard.providers as {"p": {"pci": true}}
}

test_an_answer_is_redacted_before_anything_is_found if {
	found := {[o.id, o.entity, o.operator] | some o in pii.obligations} with input as answered([])
	found == {
		["PII-003", "EMAIL_ADDRESS", "replace"],
		["PII-003", "IP_ADDRESS", "replace"],
		["PII-003", "PHONE_NUMBER", "replace"],
		["PII-003", "US_SSN", "replace"],
		["PII-004", "CREDIT_CARD", "mask"],
		["PII-004", "IBAN_CODE", "mask"],
	}
}

test_a_masked_number_keeps_its_last_four if {
	{o.keep_last | some o in pii.obligations; o.operator == "mask"} == {4} with input as answered([])
}

test_a_card_in_an_answer_is_masked_not_denied if {
	count(pii.deny) == 0 with input as answered([finding("CREDIT_CARD")])
}

test_what_is_hidden_in_an_answer_can_be_set if {
	{o.entity | some o in pii.obligations} == {"PERSON"} with input as answered([])
		with data.guard.settings as {"pii_answer_replace": ["PERSON"], "pii_answer_mask": []}
}

test_an_answer_of_an_app_about_itself_is_left_alone if {
	own := {"stage": "response", "resource": {"provider": "own"}, "findings": [], "ai": {"operation": null}}
	count(pii.obligations) == 0 with input as own
		with data.guard.providers as {"own": {"external": false}}
}

test_what_an_app_does_for_itself_is_left_alone if {
	own := object.union(asked(null, [finding("EMAIL_ADDRESS"), finding("CREDIT_CARD")]), {"ai": {"operation": null}})
	count(pii.obligations) == 0 with input as own
	count(pii.deny) == 0 with input as own
}

tiers := {
	"public": ["URL"],
	"internal": ["EMAIL_ADDRESS", "US_SSN"],
	"restricted": ["US_SSN", "BADGE"],
	"special": ["TERM:diagnosis"],
}

providers := {
	"out": {"external": true},
	"own": {"external": false},
	"clinic": {"external": true, "pci": true},
}

tiered := {"pii_tiers": tiers, "provider_tiers": {"clinic": "special"}}

deny(provider, type) := reasons if {
	reasons := pii.deny with input as asked(provider, [finding(type)])
		with data.guard.providers as providers
		with data.guard.settings as tiered
}

duties(provider, type) := {[o.id, o.entity, o.operator] | some o in found} if {
	found := pii.obligations with input as asked(provider, [finding(type)])
		with data.guard.providers as providers
		with data.guard.settings as tiered
}

test_a_tier_that_is_public_goes_as_it_is if {
	count(deny("out", "URL")) == 0
	count(duties("out", "URL")) == 0
}

test_internal_data_gets_a_pseudonym_outside if {
	duties("out", "EMAIL_ADDRESS") == {["PII-005", "EMAIL_ADDRESS", "pseudonym"]}
	duties(null, "EMAIL_ADDRESS") == {["PII-005", "EMAIL_ADDRESS", "pseudonym"]}
	count(deny("out", "EMAIL_ADDRESS")) == 0
}

test_internal_data_stays_as_it_is_inside if {
	count(duties("own", "EMAIL_ADDRESS")) == 0
	count(duties("clinic", "EMAIL_ADDRESS")) == 0
}

test_restricted_data_does_not_go_out_and_the_higher_of_two_tiers_counts if {
	deny("out", "US_SSN") == {
		{
			"id": "PII-006",
			"message": "US_SSN may not go to out.",
			"pointers": {"/messages/0/content"},
		},
	}
	count(duties("out", "US_SSN")) == 0
	count(deny("own", "BADGE")) == 1
	count(deny("clinic", "BADGE")) == 0
}

test_special_categories_go_to_no_model_but_a_named_one if {
	deny("own", "TERM:diagnosis") == {
		{
			"id": "PII-007",
			"message": "TERM:diagnosis goes to no model.",
			"pointers": {"/messages/0/content"},
		},
	}
	count(deny("clinic", "TERM:diagnosis")) == 0
}

test_what_no_tier_names_stays_with_the_first_rule if {
	duties("out", "PHONE_NUMBER") == {["PII-001", "PHONE_NUMBER", "pseudonym"]}
}

test_tiers_do_not_concern_what_an_app_does_for_itself if {
	own := object.union(asked(null, [finding("BADGE"), finding("TERM:diagnosis")]), {"ai": {"operation": null}})
	count(pii.deny) == 0 with input as own
		with data.guard.settings as tiered
}

test_without_tiers_nothing_has_one if {
	count(pii.deny) == 0 with input as asked("out", [finding("BADGE")])
		with data.guard.settings as {}
}

read_by(roles) := {[o.id, o.entity, o.operator] | some o in found; o.id == "PII-008"} if {
	found := pii.obligations with input as object.union(answered([]), {"subject": {"roles": roles}})
		with data.guard.settings as object.union(tiered, {"tier_roles": {"restricted": ["hr", "audit"]}})
}

test_a_tier_is_hidden_from_those_who_may_not_read_it if {
	read_by(["dev"]) == {["PII-008", "BADGE", "replace"], ["PII-008", "US_SSN", "replace"]}
}

test_a_tier_is_shown_to_those_who_may_read_it if {
	count(read_by(["dev", "hr"])) == 0
}

test_a_card_is_left_to_its_own_rule_even_if_it_is_named if {
	count(pii.obligations) == 0 with input as asked("p", [finding("CREDIT_CARD")])
		with data.guard.settings as {"pii_entities": ["CREDIT_CARD"]}
}
