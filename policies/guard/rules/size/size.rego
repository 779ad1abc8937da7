# METADATA
# title: Size
package guard.rules.size

import data.guard.lib

# METADATA
# title: Requests stay within the owner's bounds
# description: The bounds are max_tokens (asked for), max_prompt_tokens (estimated) and max_request_bytes.
# custom:
#   id: SIZ-001
#   severity: low
#   remediation: Ask for less, send less, or have the bound in policy.settings raised.
#   mode: enforce
deny contains {"id": "SIZ-001", "message": message, "pointers": []} if {
	input.stage == "request"
	some measure in measures
	measure.value != null
	measure.value > measure.bound
	message := sprintf("%s is %d, the bound is %d.", [measure.name, measure.value, measure.bound])
}

measures := [
	{
		"name": "The number of tokens asked for",
		"value": input.ai.max_tokens,
		"bound": lib.setting("max_tokens", 131072),
	},
	{
		"name": "The estimated number of tokens of the prompt",
		"value": input.ai.tokens_estimate,
		"bound": lib.setting("max_prompt_tokens", 1000000),
	},
	{
		"name": "The size in bytes",
		"value": input.context.size_bytes,
		"bound": lib.setting("max_request_bytes", 8388608),
	},
]
