"""Secrets of code hosts, package registries and tools of development and operation."""

from __future__ import annotations

from typing import Final

from detectors.secrets.format import Format, assigned, crc32_base62, plain

DEVELOPMENT: Final[tuple[Format, ...]] = (
    Format("GITHUB_TOKEN", "token", r"gh[pousr]_[A-Za-z0-9]{36}", crc32_base62(4, 0.8), word_before=False),
    Format(
        "GITHUB_TOKEN",
        "fine-grained token",
        r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
        plain(0.95, 11),
        word_before=False,
    ),
    Format(
        "GITLAB_TOKEN",
        "token",
        r"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-[A-Za-z0-9_-]{20,300}(?:\.[0-9a-z]{2}\.[0-9a-z]{9})?",
        plain(0.95, 5),
    ),
    Format("ATLASSIAN_TOKEN", "API or access token", r"AT(?:ATT|CTT|OTT)3[A-Za-z0-9_=-]{60,512}", plain(0.95, 6)),
    Format("ATLASSIAN_TOKEN", "Bitbucket app password", r"ATBB[A-Za-z0-9]{28,32}(?:[0-9A-F]{8})?", plain(0.9, 4)),
    Format("NPM_TOKEN", "token", r"npm_[A-Za-z0-9]{36}", crc32_base62(4, 0.9)),
    Format("PYPI_TOKEN", "token", r"pypi-Ag(?:EIcHlwaS5vcmc|ENdGVzdC5weXBpLm9yZw)[A-Za-z0-9_-]{50,}", plain(0.98, 24)),
    Format("RUBYGEMS_TOKEN", "key", r"rubygems_[0-9a-f]{48}", plain(0.95, 9)),
    Format("CRATES_TOKEN", "token", r"cio[A-Za-z0-9]{32}", plain(0.85, 3)),
    Format("NUGET_KEY", "key", r"oy2[a-z0-9]{43}", plain(0.9, 3)),
    Format("DOCKER_TOKEN", "access token", r"dckr_[op]at_[A-Za-z0-9_-]{27,64}", plain(0.95, 9)),
    Format("JFROG_TOKEN", "key", r"AKCp[A-Za-z0-9]{60,80}", plain(0.95, 4)),
    Format("CIRCLECI_TOKEN", "token", r"CCIP(?:AT|RJ)_[A-Za-z0-9]{22}_[0-9a-f]{40}", plain(0.95, 7)),
    Format("BUILDKITE_TOKEN", "token", r"bk(?:ua|at|ct)_[0-9a-f]{40}", plain(0.95, 5)),
    Format("SENTRY_TOKEN", "token", r"sntry(?:u_[0-9a-f]{64}|s_eyJ[A-Za-z0-9+/=_-]{80,512})", plain(0.95, 7)),
    Format("NEW_RELIC_KEY", "key", r"NR(?:AK|JS|II|IQ|RA|AL)-[A-Za-z0-9_-]{19,48}|[0-9a-f]{36}NRAL", plain(0.9, 5)),
    Format(
        "DATADOG_KEY",
        "key in assignment",
        assigned(r"(?:datadog|dd)[_-]?(?:api|app|application)[_-]?key", r"[0-9a-f]{32}|[0-9a-f]{40}"),
        plain(0.9),
        1,
    ),
    Format(
        "GRAFANA_TOKEN",
        "service account or cloud token",
        r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_eyJ[A-Za-z0-9+/=]{60,400}",
        plain(0.95, 5),
    ),
    Format(
        "PAGERDUTY_KEY",
        "key in assignment",
        assigned(r"pager_?duty[a-z0-9_. -]{0,12}(?:key|token)", r"[A-Za-z0-9+_-]{20}|[0-9a-f]{32}"),
        plain(0.9),
        1,
    ),
    Format("DYNATRACE_TOKEN", "token", r"dt0[a-z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}", plain(0.95, 7)),
    Format("POSTMAN_KEY", "key", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}", plain(0.95, 5)),
    Format("SONAR_TOKEN", "token", r"sq[uap]_[0-9a-f]{40}", plain(0.95, 4)),
    Format(
        "LAUNCHDARKLY_KEY",
        "key",
        r"(?:sdk|api)-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        plain(0.85, 4),
    ),
)
