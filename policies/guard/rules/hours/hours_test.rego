package guard.rules.hours_test

import data.guard.rules.hours

at(instant, route, roles) := {
	"stage": "request",
	"subject": {"roles": roles},
	"resource": {"route": route},
	"context": {"time": time.parse_rfc3339_ns(instant) / 1000},
}

day := {
	"zone": "Europe/Berlin",
	"days": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
	"from": "08:00",
	"to": "18:00",
	"holidays": ["2026-12-25"],
}

told(instant, settings) := reasons if {
	reasons := hours.deny with input as at(instant, "/v1/**", ["dev"])
		with data.guard.settings as settings
}

open(instant, span) if count(told(instant, {"business_hours": span})) == 0

# Tuesday, 24 November 2026; Berlin is one hour ahead of UTC.
test_the_day_is_open_from_its_first_minute if open("2026-11-24T07:00:00Z", day)

test_before_the_first_minute_it_is_closed if {
	told("2026-11-24T06:59:59Z", {"business_hours": day}) == {
		{
			"id": "HRS-001",
			"message": "It is 07:59; open from 08:00 to 18:00 (Europe/Berlin).",
			"pointers": [],
		},
	}
}

test_the_last_minute_is_no_longer_open if {
	open("2026-11-24T16:59:59Z", day)
	not open("2026-11-24T17:00:00Z", day)
}

test_in_summer_the_zone_is_two_hours_ahead if {
	open("2026-07-07T06:00:00Z", day)
	not open("2026-07-07T05:59:59Z", day)
}

test_the_weekend_is_closed if not open("2026-11-28T10:00:00Z", day)

test_a_holiday_is_closed if {
	not open("2026-12-25T10:00:00Z", day)
	open("2026-12-24T10:00:00Z", day)
}

test_holidays_need_not_be_named if open("2026-12-25T10:00:00Z", object.remove(day, ["holidays"]))

night := {"zone": "Europe/Berlin", "days": ["Saturday"], "from": "22:00", "to": "06:00", "holidays": []}

# Saturday, 28 November 2026, and the Sunday after it.
test_a_night_begins_on_its_day if {
	open("2026-11-28T21:00:00Z", night)
	not open("2026-11-28T20:59:59Z", night)
	not open("2026-11-27T21:00:00Z", night)
}

test_a_night_ends_on_the_day_after if {
	open("2026-11-29T04:59:59Z", night)
	not open("2026-11-29T05:00:00Z", night)
	not open("2026-11-28T04:00:00Z", night)
}

# On 29 March 2026 the hour from two to three is left out.
test_a_night_with_a_change_of_time_belongs_to_its_evening if {
	open("2026-03-28T23:30:00Z", night)
	open("2026-03-29T03:59:59Z", night)
	not open("2026-03-29T04:00:00Z", night)
}

test_until_midnight_is_written_as_twenty_four if {
	open("2026-11-24T22:59:59Z", object.union(day, {"to": "24:00"}))
	not open("2026-11-24T23:00:00Z", object.union(day, {"to": "24:00"}))
}

test_other_routes_are_always_open if {
	open("2026-11-28T10:00:00Z", object.union(day, {"routes": ["/batch/**"]}))
	not open("2026-11-28T10:00:00Z", object.union(day, {"routes": ["/v1/**"]}))
}

test_some_roles_come_at_any_hour if {
	open("2026-11-28T10:00:00Z", object.union(day, {"except_roles": ["ops", "dev"]}))
	not open("2026-11-28T10:00:00Z", object.union(day, {"except_roles": ["ops"]}))
}

freeze := {"from": "2026-12-24T00:00:00+01:00", "to": "2027-01-02T00:00:00+01:00"}

test_a_freeze_lets_nothing_in if {
	told("2026-12-23T23:00:00Z", {"freezes": [freeze]}) == {
		{
			"id": "HRS-002",
			"message": "Closed until 2027-01-02T00:00:00+01:00.",
			"pointers": [],
		},
	}
}

test_before_and_after_a_freeze_it_is_open if {
	count(told("2026-12-23T22:59:59Z", {"freezes": [freeze]})) == 0
	count(told("2027-01-01T23:00:00Z", {"freezes": [freeze]})) == 0
}

test_a_freeze_has_routes_and_exceptions_too if {
	count(told("2026-12-30T00:00:00Z", {"freezes": [object.union(freeze, {"routes": ["/batch/**"]})]})) == 0
	count(told("2026-12-30T00:00:00Z", {"freezes": [object.union(freeze, {"except_roles": ["dev"]})]})) == 0
}

test_the_answer_is_not_judged if {
	answered := object.union(at("2026-11-28T10:00:00Z", "/v1/**", []), {"stage": "response"})
	count(hours.deny) == 0 with input as answered
		with data.guard.settings as {"business_hours": day, "freezes": [freeze]}
}
