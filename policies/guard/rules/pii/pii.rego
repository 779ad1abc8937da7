# METADATA
# title: Personal data
# description: >-
#   Personal data is replaced before it leaves the tenant and restored in the answer; card numbers go only to providers
#   that may hold them; personal data that a model brings in by itself is hidden.
package guard.rules.pii

import data.guard.lib

# METADATA
# title: Personal data leaves the tenant under pseudonyms only
# custom:
#   id: PII-001
#   severity: medium
#   remediation: Nothing to do. The values are replaced on the way out and restored in the answer.
#   mode: enforce
obligations contains {"id": "PII-001", "type": "redact", "entity": entity, "operator": "pseudonym"} if {
	input.stage == "request"
	lib.external
	some finding in lib.confident
	personal(finding)
	entity := finding.type
}

# METADATA
# title: Card numbers stay with providers that may hold them
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
	message := sprintf("%d card number(s) for %s.", [sum([card.count | some card in cards]), destination])
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

# CREDIT_CARD is left to PII-002: a provider with pci = true gets it as it is.
personal(finding) if {
	finding.type in lib.setting("pii_entities", identifying)
	finding.type != "CREDIT_CARD"
}

personal(finding) if {
	finding.detector == "pii"
	not finding.type in lib.setting("pii_keep", harmless)
}

identifying := {
	"CRYPTO",
	"EMAIL_ADDRESS",
	"IBAN_CODE",
	"IP_ADDRESS",
	"MEDICAL_LICENSE",
	"PERSON",
	"PHONE_NUMBER",
	"UK_NHS",
	"US_BANK_NUMBER",
	"US_DRIVER_LICENSE",
	"US_ITIN",
	"US_PASSPORT",
	"US_SSN",
}

harmless := {"CREDIT_CARD", "DATE_TIME", "LOCATION", "NRP", "URL"}

destination := input.resource.provider if {
	input.resource.provider != null
} else := "an unknown provider"
