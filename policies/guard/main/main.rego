# METADATA
# title: Collect the rules
# description: >-
#   Gathers `deny` and `obligations` of every package under guard.rules, and keeps apart what is enforced from what
#   only watches. The loader writes data.guard.modes from the annotations; a rule without an entry is enforced.
package guard.main

decision := {
	"allow": count(reasons) == 0,
	"reasons": reasons,
	"obligations": obligations,
	"would_deny": would_deny,
}

reasons contains reason if {
	some reason in data.guard.rules[_].deny
	not shadow(reason)
}

would_deny contains reason if {
	some reason in data.guard.rules[_].deny
	shadow(reason)
}

obligations contains obligation if {
	some obligation in data.guard.rules[_].obligations
	not shadow(obligation)
}

shadow(value) if data.guard.modes[value.id] == "shadow"
