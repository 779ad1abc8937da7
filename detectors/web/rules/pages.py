"""Markup and script for the browser of somebody else (CWE 79)."""

from __future__ import annotations

from typing import Final

from detectors.web.rule import Rule

XSS: Final = "WEB_XSS"

_EVENTS: Final = (
    r"(?:abort|activate|after\w+|animation\w+|before\w+|begin|blur|bounce|canplay\w*|change|click|close|contextmenu"
    r"|copy|cut|dblclick|drag\w*|drop|durationchange|end|ended|error|finish|focus\w*|form\w+"
    r"|gotpointercapture|hashchange"
    r"|input|invalid|key(?:down|press|up)|load\w*|message|mouse\w+|offline|online|page(?:hide|show)|paste"
    r"|pause|play\w*"
    r"|pointer\w+|popstate|propertychange|readystatechange|repeat|reset|resize|scroll\w*|search|seek\w+"
    r"|select\w*|show"
    r"|start|storage|submit|suspend|timeupdate|toggle|touch\w+|transition\w+|unload|volumechange|webkit\w+|wheel)"
)
_SPACED: Final = r"[\s?]*".join
_LOADED: Final = (
    r"(?:src|href|background|(?:dyn|low)src|codebase|code|action|formaction|data|poster|srcdoc|content|url)"
)

PAGES: Final = (
    Rule(XSS, "script element", 0.95, r"<[\s/]*script\b|<[\s/]*s[\s/]*c[\s/]*r[\s/]*i[\s/]*p[\s/]*t[\s>/]|</script"),
    Rule(
        XSS,
        "element that loads or runs",
        0.8,
        r"<[\s/]*(?:iframe|object|embed|applet|frame|frameset|svg|math|base|meta|link|bgsound|i?layer"
        r"|isindex|xml|xss|marquee|portal|template)(?:[\s/>]|$)",
    ),
    Rule(
        XSS,
        "event handler",
        0.85,
        rf"(?:<\w[^>]*|['\"]\s*|^)[\s/'\"]on{_EVENTS}\s*=\s*\S|<\w+[^>]*\bon[a-z]{{3,24}}\s*=",
    ),
    Rule(
        XSS,
        "address with a script",
        0.9,
        rf"(?:{_SPACED('javascript')}|{_SPACED('vbscript')}|livescript|mocha)[\s?]*:\s*[^\s:]*?[(=;%\[/<>'\"&]",
    ),
    Rule(
        XSS,
        "page in an address",
        0.85,
        r"data:\s*(?:text/html|image/svg|application/xhtml|text/xml"
        r"|text/javascript)",
    ),
    Rule(
        XSS,
        "script in an attribute",
        0.85,
        rf"<\w+[^>]*\b{_LOADED}\s*=\s*['\"]?\s*(?:&#|\w*script\s*:|mocha:|data:|about:|//)",
    ),
    Rule(
        XSS,
        "script in a style",
        0.85,
        r"\bexpression\s*\([^)]*[.('=]|-moz-binding|behaviou?r\s*:\s*url|@import\s*['\"(u]|<style\b"
        r"|style\s*=\s*['\"]?[^>]*(?:expression|script:|\\)",
    ),
    Rule(
        XSS,
        "object of the browser",
        0.85,
        # Names of fields read so, too (sort=parent.name): what follows tells.
        r"\bdocument\s*[.\[]\s*['\"`]?(?:cookie|write(?:ln)?\s*\(|domain\b\s*\))"
        r"|\bwindow\s*[.\[]\s*['\"`]?localstorage\b"
        r"|\b(?:document|window|self|top|parent)\s*(?:\.\s*|\[\s*['\"`])(?:write(?:ln)?|domain|location|localstorage"
        r"|body|open|alert|eval|name)['\"`]?\s*\]?\s*(?:[(=`;+\[]|\.\s*(?:href|hash|search|host|assign|replace"
        r"|reload|append\w*|(?:inner|outer)\w+|\w+\s*[(=]))"
        r"|\.(?:inner|outer)html\b|\bstring\.fromcharcode\b|\b(?:window|self|top|parent)\[\s*['\"`][^\]]*\]\s*[(`]",
    ),
    Rule(
        XSS,
        "call of a script",
        0.7,
        r"(?:^|[^\w.])(?:alert|prompt|confirm|eval|settimeout|setinterval|atob)(?:[(`](?:[^)\s]|\s*\))"
        r"|\s+[(`]\s*['\"`\d/)])|scriptalert\(",
    ),
    Rule(
        XSS,
        "end of an attribute and its element",
        0.7,
        r"['\"]\s*/?>\s*<\s*[a-z!/]|^['\"]?>\s*['\"]?<|&\{|<[^>]*<\s*script",
    ),
    Rule(
        XSS,
        "element of a document",
        0.6,
        r"<(?:body|html|head|img|image|input|form|button|textarea|video|audio|source|details|select|keygen"
        r"|style|table|td|div|a|br|p)\b[^>]*(?:=|$)",
    ),
    Rule(XSS, "section of unparsed text", 0.7, r"<!\[cdata\["),
)
