# METADATA
# title: What several rules share
package guard.lib

# METADATA
# title: A setting of guard.toml, or its default
# description: Read from [policy.settings]. The default stands beside the rule that uses it.
setting(name, fallback) := value if {
	value := data.guard.settings[name]
} else := fallback

# METADATA
# title: The content leaves the tenant
# description: >-
#   It goes to a provider that the configuration does not call internal, or it calls a model and nobody said where that
#   runs. What an app does for itself, on a route without a provider, stays.
external if {
	provided
	not data.guard.providers[input.resource.provider].external == false
}

external if {
	not provided
	input.ai.operation != null
}

provided if input.resource.provider != null

# METADATA
# title: The content goes to a model, or out of the tenant
exposed if external

exposed if input.ai.operation != null

# METADATA
# title: The region of the provider
# description: Undefined without a provider that the configuration knows, null if it does not say.
region := data.guard.providers[input.resource.provider].region

# METADATA
# title: How a message calls the provider
destination := input.resource.provider if {
	input.resource.provider != null
} else := "an unknown provider"

# METADATA
# title: A name is one of a list of glob patterns
# description: >-
#   Without regard to case. A name that the guard hid may be any name, so it is on every list: on a list of what is
#   denied that is the safe side.
listed(name, patterns) if {
	some pattern in patterns
	glob.match(lower(pattern), null, lower(name))
}

listed(name, _) if startswith(name, "hmac:")

# METADATA
# title: The caller has one of these roles
has_role(roles) if {
	some role in roles
	role in input.subject.roles
}

# METADATA
# title: The caller is in one of these networks
in_network(networks) if {
	some network in networks
	network in input.context.networks
}

# METADATA
# title: An entry of a setting concerns this request
# description: Its routes, if it names any, have this one; and the caller has none of its except_roles.
concerns(entry) if {
	on_route(entry)
	not has_role(object.get(entry, "except_roles", []))
}

on_route(entry) if not entry.routes

on_route(entry) if input.resource.route in entry.routes

# METADATA
# title: Findings that are sure enough to act on
# description: >-
#   A name by rules alone may be that of a famous person; hidden, the question makes no sense any more. So only names
#   that a cue or both of their halves make sure are acted on, unless min_scores says otherwise.
confident contains finding if {
	some finding in input.findings
	finding.score >= least_score(finding.type)
}

least_score(type) := score if {
	scores := setting("min_scores", {"PERSON": 0.8})
	score := scores[type]
} else := setting("min_score", 0.4)

# METADATA
# title: A finding is personal data
personal(finding) if finding.type in setting("pii_entities", identifying)

personal(finding) if {
	finding.detector == "pii"
	not finding.type in setting("pii_keep", harmless)
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
