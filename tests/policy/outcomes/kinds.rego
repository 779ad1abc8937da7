package kinds

allow if {
	input.user == "a"
	input.n > 3
}

denied contains x if {
	some x in input.xs
	x.kind == "a"
	count(x.list) > 2
}

above(x) := y if {
	x > 10
	y := x
}

test_beside_the_rules if allow with input as {"user": "a", "n": 4}

test_beside_the_rules_fails if allow with input as {}
