"""The built-ins and the kinds of their operands: pools of `operands`, or types of `terms` (in capitals)."""

from __future__ import annotations

_NAMES = """
and assign div eq equal gt gte lt lte minus mul neq or plus rem internal.member_2 internal.member_3 internal.print
internal.template_string internal.test_case
all any cast_array cast_boolean cast_null cast_object cast_set cast_string net.cidr_overlap re_match set_diff
http.send net.lookup_ip_addr opa.runtime rand.intn time.now_ns uuid.rfc4122
"""
# Not called by name: operators and the compiler's own (the language generator writes them), what OPA 1.18.1 refuses as
# deprecated, and what answers differently each time.
UNCALLED = frozenset(_NAMES.split())

_TABLE = """
abs: bignumber
array.concat: array array
array.flatten: array
array.reverse: array
array.slice: array small small
base64.decode: base64
base64.encode: STR
base64.is_valid: base64
base64url.decode: base64
base64url.encode: STR
base64url.encode_no_pad: STR
bits.and: bignumber bignumber
bits.lsh: bignumber bound
bits.negate: bignumber
bits.or: bignumber bignumber
bits.rsh: bignumber count
bits.xor: bignumber bignumber
ceil: bignumber
concat: STR needles
contains: STR STR
count: collection
crypto.hmac.equal: hex hex
crypto.hmac.md5: STR STR
crypto.hmac.sha1: STR STR
crypto.hmac.sha256: STR STR
crypto.hmac.sha512: STR STR
crypto.md5: STR
crypto.parse_private_keys: private
crypto.sha1: STR
crypto.sha256: STR
crypto.x509.parse_and_verify_certificates: certificate
crypto.x509.parse_and_verify_certificates_with_options: certificate options509
crypto.x509.parse_certificate_request: request509
crypto.x509.parse_certificates: certificate
crypto.x509.parse_keypair: certificate private
crypto.x509.parse_rsa_private_key: private
endswith: STR STR
floor: bignumber
format_int: bignumber base
glob.match: glob delimiters STR
glob.quote_meta: STR
graph.reachable: graph nodes
graph.reachable_paths: graph nodes
graphql.is_valid: graphqlquery graphqlschema
graphql.parse: graphqlquery graphqlschema
graphql.parse_and_verify: graphqlquery graphqlschema
graphql.parse_query: graphqlquery
graphql.parse_schema: graphqlschema
graphql.schema_is_valid: graphqlschema
hex.decode: hex
hex.encode: STR
indexof: STR STR
indexof_n: STR STR
intersection: sets
io.jwt.decode: token
io.jwt.decode_verify: token constraint
io.jwt.encode_sign: header claims jwk
io.jwt.encode_sign_raw: rawheader rawclaims rawjwk
io.jwt.verify_eddsa: token key
io.jwt.verify_es256: token key
io.jwt.verify_es384: token key
io.jwt.verify_es512: token key
io.jwt.verify_hs256: token key
io.jwt.verify_hs384: token key
io.jwt.verify_hs512: token key
io.jwt.verify_ps256: token key
io.jwt.verify_ps384: token key
io.jwt.verify_ps512: token key
io.jwt.verify_rs256: token key
io.jwt.verify_rs384: token key
io.jwt.verify_rs512: token key
is_array: ANY
is_boolean: ANY
is_null: ANY
is_number: ANY
is_object: ANY
is_set: ANY
is_string: ANY
json.filter: nested paths
json.is_valid: json
json.marshal: collection
json.marshal_with_options: nested jsonoptions
json.match_schema: nested schema
json.patch: nested patch
json.remove: nested paths
json.unmarshal: json
json.verify_schema: schema
lower: STR
max: collection
min: collection
net.cidr_contains: cidr cidr
net.cidr_contains_matches: cidrset cidrset
net.cidr_expand: smallcidr
net.cidr_intersects: cidr cidr
net.cidr_is_valid: cidr
net.cidr_merge: cidrs
numbers.range: bound bound
numbers.range_step: bound bound bound
object.filter: nested keys
object.get: nested keys ANY
object.keys: nested
object.remove: nested keys
object.subset: collection collection
object.union: nested nested
object.union_n: objects
product: numbers
providers.aws.sign_req: request region ns
regex.find_all_string_submatch_n: pattern STR small
regex.find_n: pattern STR small
regex.globs_match: route route
regex.is_valid: pattern
regex.match: pattern STR
regex.replace: STR pattern substitute
regex.split: pattern STR
regex.template_match: route STR opening closing
rego.parse_module: STR module
replace: STR STR STR
round: bignumber
semver.compare: semver semver
semver.is_valid: semver
sort: collection
split: STR STR
sprintf: format arguments
startswith: STR STR
strings.any_prefix_match: needles needles
strings.any_suffix_match: needles needles
strings.count: STR STR
strings.render_template: template templateobject
strings.replace_n: mapping STR
strings.reverse: STR
substring: STR small small
sum: numbers
time.add_date: ns bound bound bound
time.clock: date
time.date: date
time.diff: date date
time.format: dateform
time.parse_duration_ns: duration
time.parse_ns: layout time
time.parse_rfc3339_ns: time
time.weekday: date
to_number: units
trace: STR
trim: STR STR
trim_left: STR STR
trim_prefix: STR STR
trim_right: STR STR
trim_space: STR
trim_suffix: STR STR
type_name: ANY
union: sets
units.parse: units
units.parse_bytes: units
upper: STR
uri.is_valid: uri
uri.parse: uri
urlquery.decode: query
urlquery.decode_object: query
urlquery.encode: STR
urlquery.encode_object: queryobject
uuid.parse: uuid
yaml.is_valid: yaml
yaml.marshal: collection
yaml.unmarshal: yaml
"""
SIGNATURES: dict[str, tuple[str, ...]] = {
    name: tuple(kinds.split()) for name, _, kinds in (line.partition(":") for line in _TABLE.strip().split("\n"))
}
NAMES = tuple(SIGNATURES)
