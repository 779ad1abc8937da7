"""Expressions for a template engine, an expression language or a runtime (CWE 94, 917, 1321, 1336)."""

from __future__ import annotations

from typing import Final

from detectors.web.rule import Rule

TEMPLATE: Final = "WEB_TEMPLATE"
PROTOTYPE: Final = "WEB_PROTOTYPE"

EXPRESSIONS: Final = (
    Rule(
        TEMPLATE,
        "lookup of a logger",
        0.98,
        r"\$\{\s*(?:jndi|env|sys|lower|upper|java|ctx|script|dns|url|main|bundle|k8s|docker|base64|::-?"
        r"|[a-z0-9]*:[^}]*:-)\s*:?",
    ),
    Rule(
        TEMPLATE,
        "lookup within a lookup",
        0.95,
        r"\$\{[^}]*\$\{|\bjndi\s*:\s*(?:ldaps?|rmi|dns|iiop|nis"
        r"|corba|http)",
    ),
    Rule(
        TEMPLATE, "sum in a template", 0.9, r"(?:\{\{|[$#*@%~]\{|@\(|<%=?|\[\[)\s*['\"]?\d+['\"]?\s*[*+/-]\s*['\"]?\d+"
    ),
    Rule(
        TEMPLATE,
        "object in a template",
        0.9,
        r"(?:\{\{|\{%|[$#*@%]\{|<%)[^}%]*(?:__\w+__|\bconfig\b|\b_?self\.|\brequest\.|\bcycler\b|\blipsum\b"
        r"|\bconstructor\b|\.getclass\b|\|\s*(?:filter|map)\s*\(|\bruntime\b|\bprocess\b|\bexec\s*\("
        r"|\bsystem\s*\(|\brequire\s*\("
        r"|\bforname\b|\bt\s*\(\s*java)",
    ),
    Rule(
        TEMPLATE,
        "statement of a template",
        0.7,
        r"\{%-?\s*(?:if|for|set|import|include|debug|raw|block|extends|macro|with)\b|<%[=@!\s][^%]*%>"
        r"|<#(?:assign|if|list)\b|#set\s*\(\s*\$|\{php\}",
    ),
    Rule(
        TEMPLATE,
        "inside of a runtime",
        0.95,
        r"__(?:import|class|mro|subclasses|builtins|globals|bases|base|init|getattribute)__"
        r"|\bclass\.module\.classloader\b|@?java\.(?:lang\.)?(?:runtime|processbuilder|class|system"
        r"|thread)|\bgetruntime\s*\(|\bprocessbuilder\b|freemarker\.template|\bognl\.|#_memberaccess|@ognl"
        r"|\bos\.(?:system|popen)\s*\(|\bsubprocess\.|\bchild_process\b|\bprocess\s*(?:\.\s*"
        r"|\[\s*[\'\"])(?:env|mainmodule|binding|exit)\b|\bconstructor\s*\.\s*constructor\b"
        r"|_\$\$nd_func\$\$_|\bnew\s+function\s*\(",
    ),
    Rule(
        TEMPLATE,
        "page of a server",
        0.9,
        r"<\?\s*(?:php\b|=|echo\b)|<!--\s*#\s*(?:exec|include|echo|printenv|config|set)\b"
        r"|\b(?:system|passthru|shell_exec|popen|proc_open|phpinfo|assert"
        r"|base64_decode)\s*\(\s*(?:['\"$)]|base64)",
    ),
    Rule(
        PROTOTYPE,
        "prototype of all objects",
        0.9,
        r"__proto__|\bconstructor\s*(?:\]?\s*\[\s*|\.\s*)['\"]?prototype\b"
        r"|['\"]constructor['\"]\s*:\s*\{\s*['\"]prototype",
    ),
)
