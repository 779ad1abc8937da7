"""Ways out of a directory, and files that no visitor asks for (CWE 22, 98)."""

from __future__ import annotations

from typing import Final

from detectors.web.rule import ONE_LINE, Rule

TRAVERSAL: Final = "WEB_TRAVERSAL"

FILES: Final = (
    Rule(
        TRAVERSAL,
        "steps upwards",
        0.9,
        r"(?:\.\.+[/\\]+){2}|\.{3,}/{2,}|\.\.[/\\]+\.[/\\]|(?:[/\\]\.{1,2}){4}|(?:\.\.\\)|\.{4,}[/\\]|\.\.;[/\\]",
    ),
    Rule(TRAVERSAL, "step upwards", 0.6, r"(?:^|[=/\\;])\.\.(?:[/\\;]|$)", ONE_LINE),
    Rule(
        TRAVERSAL,
        "steps in another spelling",
        0.9,
        r"%c0%(?:ae|af|2e|2f)|%c1%(?:9c|1c)|%e0%80%a[ef]|%uff0e|%u221[56]|(?:0x2e){2}|\.\.0x(?:2f|5c)"
        r"|%%32%(?:65|66)|\.\.%(?:2f|5c|25)",
    ),
    Rule(
        TRAVERSAL,
        "file of the system",
        0.9,
        r"\betc[/\\]+(?:passwd|shadow|hosts|group|issue|sudoers|crontab|ssh|nginx|apache2)\b"
        r"|\bproc[/\\]+(?:self|version|cmdline|\d+)\b|\b(?:windows|winnt)[/\\]*(?:system32|win\.ini"
        r"|system\.ini|repair)|\b(?:win|boot)\.ini\b|\bweb-inf[/\\]|\bvar[/\\]+(?:log|run|www)[/\\]"
        r"|\b[a-z]:[/\\]+(?:inetpub|windows|winnt|boot|autoexec)",
    ),
    Rule(
        TRAVERSAL,
        "file with secrets",
        0.8,
        r"(?:^|[/\\.=])\.(?:env|htaccess|htpasswd|git[/\\]+(?:config|head)|ssh[/\\]|aws[/\\]|bash_history"
        r"|npmrc|netrc|svn[/\\])\b|\bid_(?:rsa|ed25519)\b|\bwp-config\.php\b|(?:^|[/\\])\.env(?:\.\w+)?$",
    ),
    Rule(
        TRAVERSAL,
        "stream for a file",
        0.9,
        r"\bfile:/{2,}|\bphp://(?:filter|input|fd|memory)|\b(?:expect|phar|zip|glob|ogg|compress\.\w+)://"
        r"|\bconvert\.base64-(?:en|de)code",
    ),
)
