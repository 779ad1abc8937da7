package guard.rules.tools_test

import data.guard.rules.tools

call(name) := {"name": name, "pointer": "/choices/0/message/tool_calls/0", "facts": {}}

asked(tenant, roles, offered) := {
	"stage": "request",
	"subject": {"tenant": tenant, "roles": roles},
	"ai": {"tools": offered, "tool_calls": []},
}

answered(tenant, roles, offered, called) := {
	"stage": "response",
	"subject": {"tenant": tenant, "roles": roles},
	"ai": {"tools": offered, "tool_calls": [call(called)]},
}

told(document, settings) := reasons if {
	reasons := tools.deny with input as document
		with data.guard.tenants as {"acme": {"tools": ["search", "read"]}, "open": {"tools": []}}
		with data.guard.settings as settings
}

test_tools_of_the_tenant_are_let_in if {
	count(told(asked("acme", [], ["search", "read"]), {})) == 0
	count(told(answered("acme", [], ["search"], "search"), {})) == 0
}

test_another_tool_is_denied if {
	told(asked("acme", [], ["search", "run_shell"]), {}) == {
		{
			"id": "TOL-001",
			"message": "Tenant acme may not use run_shell.",
			"pointers": set(),
		},
	}
}

test_a_call_of_another_tool_is_denied if {
	told(answered("acme", [], ["search"], "run_shell"), {}) == {
		{
			"id": "TOL-001",
			"message": "Tenant acme may not use run_shell.",
			"pointers": {"/choices/0/message/tool_calls/0"},
		},
	}
}

test_a_tenant_without_a_list_may_use_any if {
	count(told(asked("open", [], ["run_shell"]), {})) == 0
	count(told(asked(null, [], ["run_shell"]), {})) == 0
}

test_calls_of_the_past_are_not_judged_again if {
	history := {"ai": {"tools": ["search"], "tool_calls": [call("run_shell")]}}
	count(told(object.union(asked("acme", [], []), history), {"denied_tools": ["run_*"]})) == 0
}

test_a_denied_tool_is_denied_for_everybody if {
	told(asked(null, ["ops"], ["RUN_shell", "search"]), {"denied_tools": ["run_*"]}) == {
		{
			"id": "TOL-002",
			"message": "Not to be used: RUN_shell.",
			"pointers": set(),
		},
	}
	count(told(answered(null, [], [], "run_shell"), {"denied_tools": ["run_*"]})) == 1
	count(told(asked(null, [], ["search"]), {"denied_tools": ["run_*"]})) == 0
}

test_a_tool_whose_name_is_hidden_might_be_a_denied_one if {
	count(told(asked(null, [], ["hmac:k1:00"]), {"denied_tools": ["run_*"]})) == 1
	count(told(asked(null, [], ["hmac:k1:00"]), {"denied_tools": []})) == 0
}

guarded := {"tool_roles": {"run_*": ["ops"], "delete_*": ["ops", "dba"]}}

test_a_dangerous_tool_asks_for_a_role if {
	told(asked(null, ["dba"], ["run_shell", "delete_row", "search"]), guarded) == {
		{
			"id": "TOL-003",
			"message": "A role is missing for run_shell.",
			"pointers": set(),
		},
	}
	count(told(asked(null, ["ops"], ["run_shell", "delete_row"]), guarded)) == 0
	count(told(answered(null, [], [], "run_shell"), guarded)) == 1
}

test_a_call_that_was_not_offered_is_denied if {
	told(answered(null, [], ["search"], "run_shell"), {"offered_tools_only": true}) == {
		{
			"id": "TOL-004",
			"message": "The model calls run_shell, which was not offered.",
			"pointers": {"/choices/0/message/tool_calls/0"},
		},
	}
	count(told(answered(null, [], ["search"], "search"), {"offered_tools_only": true})) == 0
	count(told(answered(null, [], ["search"], "run_shell"), {"offered_tools_only": false})) == 0
	count(told(answered(null, [], ["search"], "run_shell"), {})) == 0
}
