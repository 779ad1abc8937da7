# METADATA
# title: Hours
# description: When requests are let in.
package guard.rules.hours

import data.guard.lib

# METADATA
# title: Requests come in business hours
# description: >-
#   Speaks once business_hours is given. Days and hours are those of its zone, with summer time; a day of holidays is
#   closed from midnight to midnight.
# custom:
#   id: HRS-001
#   severity: medium
#   remediation: Come back in business hours, or use a credential with a role of except_roles.
#   mode: enforce
deny contains {"id": "HRS-001", "message": message, "pointers": []} if {
	input.stage == "request"
	hours := data.guard.settings.business_hours
	lib.concerns(hours)
	not open(hours)
	message := sprintf("It is %s; open from %s to %s (%s).", [clock(hours.zone), hours.from, hours.to, hours.zone])
}

# METADATA
# title: Nothing comes in during a freeze
# description: >-
#   Speaks of the spans that freezes names: a cut-over, an audit, an incident. The end is no longer part of it.
# custom:
#   id: HRS-002
#   severity: medium
#   remediation: Come back when the freeze is over, or use a credential with a role of its except_roles.
#   mode: enforce
deny contains {"id": "HRS-002", "message": message, "pointers": []} if {
	input.stage == "request"
	some freeze in data.guard.settings.freezes
	lib.concerns(freeze)
	now >= time.parse_rfc3339_ns(freeze.from)
	now < time.parse_rfc3339_ns(freeze.to)
	message := sprintf("Closed until %s.", [freeze.to])
}

# time.* counts nanoseconds.
now := input.context.time * 1000

open(hours) if {
	hours.from <= hours.to
	clock(hours.zone) >= hours.from
	clock(hours.zone) < hours.to
	works(hours, now)
}

# Overnight, before midnight.
open(hours) if {
	hours.from > hours.to
	clock(hours.zone) >= hours.from
	works(hours, now)
}

# Overnight, after midnight: the shift began the day before. Two hours before midnight is that day in every zone.
open(hours) if {
	hours.from > hours.to
	clock(hours.zone) < hours.to
	[hour, minute, _] := time.clock([now, hours.zone])
	works(hours, now - ((((hour + 2) * 60) + minute) * 60000000000))
}

works(hours, instant) if {
	time.weekday([instant, hours.zone]) in hours.days
	not day(instant, hours.zone) in object.get(hours, "holidays", [])
}

clock(zone) := sprintf("%02d:%02d", [hour, minute]) if [hour, minute, _] := time.clock([now, zone])

day(instant, zone) := sprintf("%04d-%02d-%02d", time.date([instant, zone]))
