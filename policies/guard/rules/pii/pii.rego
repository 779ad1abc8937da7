# METADATA
# title: Personal data
# description: >-
#   Personal data is replaced before it leaves the tenant and restored in the answer; card numbers go only to providers
#   that may hold them; personal data that a model brings in by itself is hidden.
package guard.rules.pii

import data.guard.lib

# METADATA
# title: Personal data leaves the tenant under pseudonyms only
# description: >-
#   Whatever the detector pii finds counts, except pii_keep, and whatever pii_entities names of any detector. A type that
#   pii_tiers names is left to PII-005, PII-006 and PII-007.
# custom:
#   id: PII-001
#   severity: medium
#   remediation: Nothing to do. The values are replaced on the way out and restored in the answer.
#   mode: enforce
obligations contains {"id": "PII-001", "type": "redact", "entity": entity, "operator": "pseudonym"} if {
	input.stage == "request"
	lib.external
	some finding in lib.confident
	lib.personal(finding)
	entity := finding.type
	not elsewhere(entity)
}

# METADATA
# title: Card numbers stay with providers that may hold them
# description: >-
#   Fires on a card number that goes to a model or out of the tenant, unless the provider has pci = true. A provider that
#   the configuration does not know has not.
# custom:
#   id: PII-002
#   severity: high
#   remediation: Remove the number, or choose a model of a provider with pci = true.
#   mode: enforce
deny contains {"id": "PII-002", "message": message, "pointers": pointers} if {
	input.stage == "request"
	lib.exposed
	not data.guard.providers[input.resource.provider].pci == true
	cards := [finding | some finding in lib.confident; finding.type == "CREDIT_CARD"]
	count(cards) > 0
	pointers := {card.pointer | some card in cards}
	message := sprintf("%d card number(s) for %s.", [sum([card.count | some card in cards]), lib.destination])
}

# METADATA
# title: Personal data that the model brings in is hidden
# description: >-
#   Holds from the head of the answer on, before anything was found, so that a stream is redacted from its first byte.
#   Values that the guard itself restores are not touched.
# custom:
#   id: PII-003
#   severity: medium
#   remediation: Ask for the answer without personal data, or ask a model that does not hold it.
#   mode: enforce
obligations contains {"id": "PII-003", "type": "redact", "entity": entity, "operator": "replace"} if {
	input.stage == "response"
	lib.exposed
	some entity in lib.setting("pii_answer_replace", {"EMAIL_ADDRESS", "IP_ADDRESS", "PHONE_NUMBER", "US_SSN"})
}

# METADATA
# title: Of account numbers that the model brings in, the last four digits stay
# description: As PII-003, for the entities of pii_answer_mask.
# custom:
#   id: PII-004
#   severity: medium
#   remediation: Ask for the answer without account numbers, or ask a model that does not hold them.
#   mode: enforce
obligations contains {"id": "PII-004", "type": "redact", "entity": entity, "operator": "mask", "keep_last": 4} if {
	input.stage == "response"
	lib.exposed
	some entity in lib.setting("pii_answer_mask", {"CREDIT_CARD", "IBAN_CODE"})
}

# METADATA
# title: Internal data leaves for a provider under pseudonyms
# description: >-
#   Speaks once pii_tiers is given. An entity of the tier internal gets a pseudonym, unless the provider may have the
#   tier as it is: one that is not external may, and so may one that provider_tiers names for it.
# custom:
#   id: PII-005
#   severity: medium
#   remediation: Nothing to do. The values are replaced on the way out and restored in the answer.
#   mode: enforce
obligations contains {"id": "PII-005", "type": "redact", "entity": entity, "operator": "pseudonym"} if {
	input.stage == "request"
	data.guard.settings.pii_tiers
	lib.exposed
	clearance < ranks.internal
	some entity, rank in found
	rank == ranks.internal
}

# METADATA
# title: Restricted data goes only to providers that may have it
# description: >-
#   Speaks once pii_tiers is given. No provider may have the tier restricted unless provider_tiers says so; a pseudonym
#   would still tell what is talked about.
# custom:
#   id: PII-006
#   severity: high
#   remediation: Remove the data, or choose a provider that provider_tiers names for restricted or special.
#   mode: enforce
deny contains {"id": "PII-006", "message": message, "pointers": pointers} if {
	input.stage == "request"
	data.guard.settings.pii_tiers
	lib.exposed
	clearance < ranks.restricted
	types := [type | some type, rank in found; rank == ranks.restricted]
	count(types) > 0
	pointers := places(types)
	message := sprintf("%s may not go to %s.", [concat(", ", types), lib.destination])
}

# METADATA
# title: Special categories go to no model
# description: >-
#   Speaks once pii_tiers is given. Health, beliefs, origin and the like (Article 9 of the GDPR) go to a model only if
#   provider_tiers says special for its provider.
# custom:
#   id: PII-007
#   severity: critical
#   remediation: Remove the data. A model that may have it is named in provider_tiers.
#   mode: enforce
deny contains {"id": "PII-007", "message": message, "pointers": pointers} if {
	input.stage == "request"
	data.guard.settings.pii_tiers
	lib.exposed
	clearance < ranks.special
	types := [type | some type, rank in found; rank == ranks.special]
	count(types) > 0
	pointers := places(types)
	message := sprintf("%s goes to no model.", [concat(", ", types)])
}

# METADATA
# title: An answer shows a tier only to those who may read it
# description: >-
#   Speaks once tier_roles is given. Entities of a tier that tier_roles names are replaced by their name for everybody
#   without one of its roles, from the first byte on. What the guard itself restores is not touched.
# custom:
#   id: PII-008
#   severity: high
#   remediation: Ask with a role that may read this data.
#   mode: enforce
obligations contains {"id": "PII-008", "type": "redact", "entity": entity, "operator": "replace"} if {
	input.stage == "response"
	some tier, roles in data.guard.settings.tier_roles
	not lib.has_role(roles)
	some entity in data.guard.settings.pii_tiers[tier]
}

# CREDIT_CARD is left to PII-002: a provider with pci = true gets it as it is.
elsewhere("CREDIT_CARD")

elsewhere(entity) if {
	some types in data.guard.settings.pii_tiers
	entity in types
}

ranks := {"public": 0, "internal": 1, "restricted": 2, "special": 3}

# The tier of each type that was found; of several, the highest.
found[type] := rank if {
	some finding in lib.confident
	type := finding.type
	rank := max({ranks[tier] | some tier, types in data.guard.settings.pii_tiers; type in types})
}

clearance := rank if {
	rank := ranks[data.guard.settings.provider_tiers[input.resource.provider]]
} else := ranks.public if {
	lib.external
} else := ranks.internal

places(types) := {finding.pointer | some finding in lib.confident; finding.type in types}
