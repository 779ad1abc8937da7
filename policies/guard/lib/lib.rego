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
# title: Findings that are sure enough to act on
confident contains finding if {
	some finding in input.findings
	finding.score >= setting("min_score", 0.4)
}
