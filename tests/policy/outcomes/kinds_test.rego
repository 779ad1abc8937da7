package kinds_test

import data.kinds

test_true := true

test_undefined if input.no.such

test_false := false

test_number := 7

test_text := "true"

test_null := null

test_array := [true]

test_set contains true

test_negation if {
	x := 1
	not x == 1
}

test_every if {
	every x in [1, 2, 3] {
		x < 3
	}
}

test_builtin_error if {
	x := 1 / 0
	x == 1
}

test_conflict := x if some x in [true, false]

test_conflict_in_a_function if double(1) == 2

double(_) := 2

double(x) := 3 if x == 1

test_function(x) if x

default test_default := false

test_default if 1 == 2

test_twice if false

test_twice := true

test_printed if {
	print("seen by", "the author")
	false
}

todo_test_later if false

todo_test_later := true

test_cases[name] if {
	some name, case in {"one": 1, "two": 2}
	case == 1
}

test_all_cases[name] if {
	some name, case in {"one": 1, "two": 2}
	case < 3
}

test_numbered_cases[n] if {
	some n in [1, 2]
	n == 1
}

test_nested_cases[group][name] if {
	some group, cases in {"x": {"y": 1, "z": 2}, "w": {"v": 1}}
	some name, case in cases
	case == 1
}

test_cases_twice[name] if {
	some name in ["a"]
	name == "b"
}

test_cases_twice[name] if {
	some name in ["a"]
	name == "a"
}

test_no_cases[name] if some name in []

test_rule if {
	n := 2
	kinds.allow with input as {"user": "a", "n": n}
}

test_set_of_rule if {
	found := kinds.denied with input as {"xs": [{"kind": "b"}, {"kind": "a", "list": [1]}]}
	count(found) == 1
}

test_call_of_rule if kinds.above(3) == 3
