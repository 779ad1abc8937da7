package guard.rules.example

# METADATA
# title: Only chat operations are served
# custom:
#   id: EX-001
#   severity: low
#   remediation: Call /v1/chat/completions or /v1/messages.
#   mode: shadow
deny contains {"id": "EX-001", "message": message, "pointers": set()} if {
	input.stage == "request"
	input.ai.operation == null
	message := sprintf("%s %s is not a chat operation", [input.action.method, input.resource.route])
}
