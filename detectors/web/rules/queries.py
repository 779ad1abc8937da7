"""Statements smuggled into a database: SQL (CWE 89) and queries of document stores (CWE 943)."""

from __future__ import annotations

from typing import Final

from detectors.web.rule import Rule

SQLI: Final = "WEB_SQLI"
NOSQL: Final = "WEB_NOSQL"

_GAP: Final = r"(?:[\s+(]|/\*[^*]*\*/)"
_QUOTE: Final = r"['\"`)%\]]"
_OPERAND: Final = r"[\s('\"+-]*(?:0x[0-9a-f]+|[\w.@]+)(?:\([^)]*\))?['\"\s)%]*"
# A name of two words in double quotation marks is a field: status = "Done" AND "Story Points" > 3.
_CONSTANT: Final = r"[\s(+-]*(?:'[^'\"]*['\"]?|\"[^'\"\s]*['\"]?|0x[0-9a-f]+|\d+|\w+\([^)]*\))['\"\s)%]*"
_COMPARED: Final = (
    r"(?:=|<>|!=|<|>|\br?like\s*\(?\s*['\"]|\bregexp\b|\bis\s+(?:not\s+)?null\b|\bin\s*\(|\bbetween\s+\S+\s+and\b)"
)
_JOINED: Final = r"(?:\b(?:or|and|xor|having|where|rlike|regexp)\b|\|\||&&)"
_STATEMENT: Final = (
    r"(?:select[\s(]+(?:\*|\w+\s*\(|case\b|['\"0-9@]|null\b|[^;]*\bfrom\b)|declare\s+@"
    r"|exec(?:ute)?[\s(]+\S|waitfor\b|begin\s"
    r"|call\s+[\w.]+\s*\(|insert\s+into\b|update\s+\S+\s+set\b|delete\s+from\b|shutdown\b"
    r"|(?:drop|alter|create|truncate)\s+(?:table|database|user|view|alias|function|procedure|schema"
    r"|or\s+replace)\b)"
)
_DATABASE: Final = (
    r"pg_sleep|benchmark\s*\(\s*\d|\bwaitfor\s+(?:delay|time)\b|dbms_\w+\.\w+|utl_(?:http|inaddr|file"
    r"|smtp)\.|ctxsys\."
    r"|randomblob\s*\(|extractvalue\s*\(|updatexml\s*\(|xmltype\s*\(|xp_(?:cmdshell|dirtree|regread)|sp_oacreate"
    r"|generate_series\s*\(|regexp_substring\s*\(|crypt_key\s*\(|load_file\s*\(|into\s+(?:out|dump)file\b"
    r"|\binformation_schema\b|\bpg_catalog\.|\bsqlite_(?:master|schema)\b|\bmsysaccessobjects\b|\bsysibm\.|\brdb\$"
    r"|(?:\bfrom\s+|,\s*)(?:\w+\.+)*sys(?:users|databases|objects|columns)\b|\ball_(?:users|tables)\b"
    r"|\bdomain\.(?:domains|tables|columns)\b"
    r"|@@(?:version|servername|datadir)|procedure\s+analyse\s*\(|\bin\s+boolean\s+mode\b|\bgroup_concat\s*\("
    r"|\belt\s*\(\s*\d+\s*=|\bmake_set\s*\(|\bname_const\s*\(|\bjson_keys\s*\(\s*\(|\bgtid_subset\s*\("
    r"|\bst_latfromgeohash\b"
    r"|\bexp\s*\(\s*~|\brow\s*\(\s*\d+\s*,\s*\d+\s*\)\s*[<>=]|\biif\s*\(\s*\d+\s*=\s*\d"
)
_OPERATORS: Final = (
    r"(?:ne|gte?|lte?|n?in|eq|regex|where|exists|not|or|nor|and|expr|elemmatch|function"
    r"|accumulator)"
)

QUERIES: Final = (
    Rule(
        SQLI,
        "union of queries",
        0.9,
        rf"\bunion{_GAP}*(?:all|distinct)?{_GAP}*\bselect\b"
        r"[\s+(/*]*(?:\*|null\b|all\b|distinct\b|['\"@\d-]|\w+\s*[,(|]|[^;]*\bfrom\b)",
    ),
    Rule(SQLI, "constant behind a quote", 0.9, rf"{_QUOTE}{_GAP}*{_JOINED}(?:\s*\bnot\b)?{_CONSTANT}{_COMPARED}"),
    Rule(
        SQLI,
        "constant and comment behind a quote",
        0.9,
        rf"['\"]{_GAP}*{_JOINED}[\s(+]*(?:not\b[\s(+]*)?(?:\d+|true\b|false\b)[\s)]*(?:--|#|/\*)",
    ),
    # Query languages of ordinary APIs read so, too: name='x' and age>5.
    Rule(SQLI, "condition behind a quote", 0.6, rf"{_QUOTE}{_GAP}*{_JOINED}(?:\s*\bnot\b)?{_OPERAND}{_COMPARED}"),
    Rule(
        SQLI,
        "numbers that are equal",
        0.8,
        rf"{_JOINED}(?:\s*\bnot\b)?[\s('\"+-]*\d+['\"\s)]*(?:=|<>|!=|\blike\b)['\"\s(+-]*\d",
    ),
    Rule(
        SQLI,
        "numbers that are compared",
        0.6,
        rf"{_JOINED}(?:\s*\bnot\b)?[\s('\"+-]*\d+['\"\s)]*[<>]['\"\s(+-]*\d",
    ),
    Rule(SQLI, "condition on a query", 0.9, rf"{_JOINED}{_GAP}*(?:not\s+)?(?:exists\s*)?\(\s*select\b"),
    Rule(
        SQLI,
        "case in a query",
        0.9,
        r"\bselect[\s(]+case\s+when\b|\bcase\s+when\s+\S[^;]*\bthen\b[^;]*\b(?:else|end)\b",
    ),
    Rule(SQLI, "second statement", 0.9, rf"(?:;|{_QUOTE}\s*;?)\s*{_STATEMENT}"),
    Rule(
        SQLI,
        "query within a value",
        0.85,
        r"\(\s*select\b[\s(]*(?:\*|case\b|char\b|chr\b|concat\b|count\b|[^;]*\bfrom\b|['\"0-9])",
    ),
    Rule(
        SQLI,
        "query of columns",
        0.7,
        r"\bselect\s+(?:\*|@@|null\b|top\s+\d|distinct\s|\w+\s*\(|[\w.]+\s*,\s*[\w.]+)[^;]*\bfrom\s+\w",
    ),
    Rule(SQLI, "function or table of a database", 0.85, _DATABASE),
    Rule(SQLI, "delay", 0.8, r"(?:^|[^.\w])sleep\s*\(\s*\d[\d.]*\s*\)|(?:^|[^.\w])sleep\(\d"),
    Rule(SQLI, "order or grouping behind a value", 0.8, rf"(?:{_QUOTE}|^-?\d+)\s*(?:order|group)\s+by\s+[\d(]"),
    Rule(
        SQLI,
        "characters by number",
        0.85,
        r"\b(?:char|chr|nchar)\s*\(\s*\d+\s*\)\s*(?:\|\||\+|,|&)|\bconcat(?:_ws)?\s*\(\s*(?:0x|cha?r\s*\()",
    ),
    Rule(SQLI, "value joined to a value", 0.7, r"['\"]\s*(?:\|\||\+)\s*(?:\(\s*select\b|'[^']*'?\s*(?:\|\||$))"),
    Rule(SQLI, "comment behind a quote", 0.8, r"['\"]\s*\)*\s*;?\s*(?:--[\s+-]*\w{0,12}\s*$|#\s*\w{0,8}$|/\*)"),
    Rule(
        SQLI,
        "change of a table",
        0.75,
        r"\b(?:insert\s+into\s+\S+\s*(?:\([^)]*\)\s*)?values\s*\(|drop\s+table\s+(?:if\b"
        r"|[\w.`\"\[\]]+\s*(?:;|--|#|,|cascade))|delete\s+from\s+\w+\s*(?:where\b|;|'|--|$)"
        r"|update\s+\w+\s+set\s+\w+\s*=)",
    ),
    Rule(NOSQL, "operator in a name", 0.9, rf"\[\s*\$(?:{_OPERATORS})\s*\]"),
    Rule(
        NOSQL,
        "operator as a member",
        0.9,
        rf"[{{,]\s*['\"]\$(?:{_OPERATORS})['\"]\s*:|\{{\s*\$(?:{_OPERATORS})\s*:|^\$(?:{_OPERATORS})$",
    ),
    Rule(
        NOSQL,
        "script in a query",
        0.85,
        r"^\$where\b|\$where['\"]?\s*:\s*['\"]|\$where\s*=|\bthis\.\w+\s*(?:===?|!=|\.match\s*\()"
        r"|['\"]\s*;\s*return\b|['\"]\s*(?:\|\|"
        r"|&&)\s*['\"]?\w*['\"]?\s*==|\bdb\.\w+\.(?:find|insert|drop|remove)\s*\(",
    ),
)
