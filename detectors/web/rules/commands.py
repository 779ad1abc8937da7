"""Commands for a shell (CWE 78)."""

from __future__ import annotations

from typing import Final

from detectors.web.rule import ONE_LINE, Rule

COMMAND: Final = "WEB_COMMAND"

_BIN: Final = r"(?:/(?:usr/)?(?:local/)?s?bin/)?"
# These are no words of a language: one of them behind a separator is enough.
_PLAIN: Final = (
    r"(?:whoami|uname|ls|ncat|netcat|pwsh|cmd\.exe|nslookup|ifconfig|ipconfig|netstat|chmod|chown|tftp|systeminfo"
    r"|tasklist|printenv|busybox|xterm|mknod|mkfifo)"
)
# These are spoken of, too, in lists of skills and in searches: they count with an argument.
_TOOLS: Final = r"(?:ping6?|curl|wget|(?:ba|z|k|da)?sh|powershell|cmd|python[23]?|perl|php|ruby|sudo)"
_ARGUMENT: Final = r"(?:[\s+]+(?:[-/$'\"<>]|\d|https?:|[\w-]+[./]\w)|\s*[<>`])"
# These are words, too, or names of fields: they count with an argument of a shell, or at the end.
_WORDS: Final = (
    r"(?:id|cat|dir|nc|dig|sleep|type|echo|ps|rm|touch|ftp|telnet|net|reg|set|env|head"
    r"|tail|grep|awk|sed|true|false|timeout|shutdown|reboot|kill|mail|host|who|pwd)"
)
_SEPARATOR: Final = r"(?:[;|&`\n]|\$\()"
_END: Final = r"(?:[;|&`)#]|\s*[;|`)#]|\s+[-/~.$<>%'\"]|\s+\S+\s*[;|`]|\s*[<>])"
_COUNTED: Final = r"(?:sleep|timeout|kill)\s+-?\d"
_LAST: Final = r"(?:id|dir|ps|env|pwd|sh|reboot|shutdown)\s*$"

COMMANDS: Final = (
    Rule(
        COMMAND,
        "command behind a separator",
        0.85,
        rf"(?:[;|&]|\$\()[\s+{{(]*{_BIN}(?:{_PLAIN}(?:[\s+;|&`)$<>]|$)|{_TOOLS}{_ARGUMENT})",
    ),
    Rule(
        COMMAND,
        "command on its own line",
        0.8,
        rf"\n\s*{_BIN}(?:{_PLAIN}(?:[\s;|&`)$<>]|$)|{_TOOLS}{_ARGUMENT})",
        ONE_LINE,
    ),
    Rule(
        COMMAND,
        "command of one word behind a separator",
        0.7,
        rf"(?:[;|&]|\$\()[\s+{{(]*{_BIN}(?:{_WORDS}{_END}|{_COUNTED}|{_LAST})",
    ),
    Rule(COMMAND, "file of a command", 0.7, r"(?:^|[;|&`$(\s'\"=])/(?:usr/)?(?:local/)?s?bin/[a-z]"),
    Rule(COMMAND, "command in backticks", 0.65, rf"`\s*(?:{_BIN}(?:{_PLAIN}|{_WORDS})\b[^`]*|/[\w/]+)`"),
    Rule(
        COMMAND,
        "command with its options",
        0.8,
        r"\bping(?:\.exe)?\s+-[a-z]\s*\d|\bcmd(?:\.exe)?\s*/[ckr]\b|\bpowershell(?:\.exe)?\s+-[a-z]"
        r"|\b(?:ba|z|k|da)?sh\s+-[ic]\b|\b(?:python[23]?|perl|ruby|php)\s+-[cer]\s"
        r"|\bnc(?:at)?\s+-[a-z]*[elp]",
    ),
    Rule(
        COMMAND,
        "substitution of a shell",
        0.95,
        r"\$\{?ifs\b|\$ifs\$|\$\(\(|\$\(\s*(?:/|\w+\s+[-/'\"])|<\(\s*\w+\s|\{\w+,[-/\w.]+\}\s*$",
    ),
    Rule(
        COMMAND,
        "connection of a shell",
        0.95,
        r"/dev/(?:tcp|udp)/|\b(?:curl|wget)\s[^;|]*(?:https?|ftp)://[^\s;|]+\s*[|>;]"
        r"|\b(?:curl|wget|echo|printf|cat|fetch|base64|xxd|openssl)\s[^;]*\|\s*(?:ba|z|k|da)?sh\b"
        r"|\bmkfifo\s|[12&]?>\s*/(?:tmp|dev|etc|var)/",
    ),
    Rule(
        COMMAND,
        "command of PowerShell",
        0.85,
        r"\binvoke-(?:webrequest|expression|command|restmethod)\b|\b(?:iwr|iex)\s*[(\"'h]|\bdownloadstring\s*\("
        r"|\bnew-object\s+(?:system\.)?net\.",
    ),
    Rule(COMMAND, "function of a shell", 0.98, r"\(\s*\)\s*\{[^}]*\}?\s*;"),
    Rule(COMMAND, "listing of a drive", 0.8, r"(?:^|[;|&])[\s+]*dir[\s+]+[a-z]:"),
)
