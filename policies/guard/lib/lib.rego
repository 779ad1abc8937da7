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
# description: True for every provider that the configuration does not call internal, and when none is known.
external if not data.guard.providers[input.resource.provider].external == false

# METADATA
# title: The content goes to a model, or out of the tenant, or nobody knows where it goes
# description: >-
#   False only for what an ordinary app does for itself: a route whose provider the configuration calls internal, and
#   whose body is no call of a model.
exposed if external

exposed if input.ai.operation != null

# METADATA
# title: Findings that are sure enough to act on
confident contains finding if {
	some finding in input.findings
	finding.score >= setting("min_score", 0.4)
}
