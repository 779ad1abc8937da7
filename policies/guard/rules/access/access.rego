# METADATA
# title: Access
# description: Who may come in, on which route, with which role and from where.
package guard.rules.access

import data.guard.lib

# METADATA
# title: Callers show who they are
# description: >-
#   Speaks once authenticated_only is true. A caller without a verified credential is let in on anonymous_routes only.
# custom:
#   id: ACC-001
#   severity: high
#   remediation: Send a credential that the guard can verify.
#   mode: enforce
deny contains {"id": "ACC-001", "message": "The caller is anonymous.", "pointers": []} if {
	input.stage == "request"
	data.guard.settings.authenticated_only == true
	input.subject.authenticated == false
	not open
}

# METADATA
# title: Callers belong to a tenant that the owner knows
# description: >-
#   Speaks once known_tenants_only is true. Rules about tenants have nothing to say of a caller who has none, or one
#   without an entry in [tenants]; this one denies them.
# custom:
#   id: ACC-002
#   severity: high
#   remediation: Use a credential of a known tenant, or add the tenant to [tenants].
#   mode: enforce
deny contains {"id": "ACC-002", "message": message, "pointers": []} if {
	input.stage == "request"
	data.guard.settings.known_tenants_only == true
	not data.guard.tenants[input.subject.tenant]
	not open
	message := sprintf("%s.", [tenant])
}

# METADATA
# title: A route asks for a role
# description: Speaks of the routes that route_roles names. One of the roles is enough.
# custom:
#   id: ACC-003
#   severity: high
#   remediation: Use a credential with one of the roles, or ask the owner of the route for one.
#   mode: enforce
deny contains {"id": "ACC-003", "message": message, "pointers": []} if {
	input.stage == "request"
	roles := data.guard.settings.route_roles[input.resource.route]
	not lib.has_role(roles)
	message := sprintf("%s is for: %s.", [input.resource.route, concat(", ", roles)])
}

# METADATA
# title: A route asks for a network
# description: Speaks of the routes that route_networks names. An address that is unknown is in no network.
# custom:
#   id: ACC-004
#   severity: high
#   remediation: Come from one of the networks.
#   mode: enforce
deny contains {"id": "ACC-004", "message": message, "pointers": []} if {
	input.stage == "request"
	networks := data.guard.settings.route_networks[input.resource.route]
	not lib.in_network(networks)
	message := sprintf("%s is for callers in: %s.", [input.resource.route, concat(", ", networks)])
}

# METADATA
# title: A role is used from its networks
# description: >-
#   Speaks of callers with a role that role_networks names. For credentials that are worth stealing: outside of their
#   networks they are worth nothing. With several such roles, each must be in its place.
# custom:
#   id: ACC-005
#   severity: high
#   remediation: Come from a network of the role, or use a credential without it.
#   mode: enforce
deny contains {"id": "ACC-005", "message": message, "pointers": []} if {
	input.stage == "request"
	some role, networks in data.guard.settings.role_networks
	role in input.subject.roles
	not lib.in_network(networks)
	message := sprintf("The role %s is for callers in: %s.", [role, concat(", ", networks)])
}

open if input.resource.route in data.guard.settings.anonymous_routes

tenant := sprintf("Tenant %s is not known", [input.subject.tenant]) if {
	input.subject.tenant != null
} else := "The caller has no tenant"
