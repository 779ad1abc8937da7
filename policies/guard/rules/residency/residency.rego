# METADATA
# title: Residency
# description: >-
#   Where data may go, by the region of the provider. A provider without a region, and a call whose provider nobody
#   named, could be anywhere: they are denied wherever a rule of this package speaks.
package guard.rules.residency

import data.guard.lib

# METADATA
# title: A tenant's data stays in the tenant's regions
# description: Speaks once tenants.NAME.regions is given.
# custom:
#   id: RES-001
#   severity: high
#   remediation: Choose a model of a provider in one of the tenant's regions.
#   mode: enforce
deny contains {"id": "RES-001", "message": message, "pointers": []} if {
	input.stage == "request"
	regions := data.guard.tenants[input.subject.tenant].regions
	count(regions) > 0
	lib.exposed
	not within(regions)
	message := sprintf("Data of tenant %s may go to %s; this goes to %s.", [
		input.subject.tenant,
		concat(", ", regions),
		place,
	])
}

# METADATA
# title: Nothing goes beyond the owner's regions
# description: Speaks once allowed_regions is given, for every caller.
# custom:
#   id: RES-002
#   severity: high
#   remediation: Choose a model of a provider in one of the allowed regions.
#   mode: enforce
deny contains {"id": "RES-002", "message": message, "pointers": []} if {
	input.stage == "request"
	regions := data.guard.settings.allowed_regions
	lib.exposed
	not within(regions)
	message := sprintf("Allowed is %s; this goes to %s.", [concat(", ", regions), place])
}

# METADATA
# title: Personal data stays in its regions
# description: >-
#   Speaks once personal_data_regions is given. Pseudonyms do not help: under the GDPR they are personal data, too. Other
#   texts may go anywhere.
# custom:
#   id: RES-003
#   severity: high
#   remediation: Remove the personal data, or choose a model of a provider in one of these regions.
#   mode: enforce
deny contains {"id": "RES-003", "message": message, "pointers": pointers} if {
	input.stage == "request"
	regions := data.guard.settings.personal_data_regions
	lib.exposed
	not within(regions)
	found := [finding | some finding in lib.confident; personal(finding)]
	count(found) > 0
	pointers := {finding.pointer | some finding in found}
	types := {finding.type | some finding in found}
	message := sprintf("%s may go to %s; this goes to %s.", [
		concat(", ", types),
		concat(", ", regions),
		place,
	])
}

place := sprintf("%s (%s)", [lib.destination, lib.region]) if {
	lib.region != null
} else := sprintf("%s (no region)", [lib.destination])

# A helper, because "not lib.region in regions" is undefined where the region is, and a rule that is undefined is silent.
within(regions) if lib.region in regions

personal(finding) if lib.personal(finding)

personal(finding) if finding.type == "CREDIT_CARD"
