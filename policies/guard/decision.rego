# METADATA
# title: The decision of policy-guard
# description: The entrypoint that the guard asks at every stage. Its parts come from guard.main.
package guard

# METADATA
# title: What happens to this exchange
# entrypoint: true
decision := data.guard.main.decision
