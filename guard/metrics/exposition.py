"""The samples in the text format of Prometheus, or that of OpenMetrics where the scraper asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from guard.metrics.catalogue import BY_NAME, ORIGIN, PREFIX, Family
from guard.metrics.samples import Bins, Sample, origin_of, samples
from guard.runtime import Runtime

_MOST_LABEL: Final = 128


class GuardCollector(Collector):
    """A guard as a collector: ``registry.register(GuardCollector(runtime))`` of a registry that an app exposes anyway.

    From any thread. Raises nothing; it costs about a millisecond.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def collect(self) -> Iterator[Metric]:
        """A metric family for each metric that has a sample."""
        origin = origin_of(self.runtime)
        found: dict[str, list[Sample]] = {}
        for sample in samples(self.runtime):
            found.setdefault(sample.name, []).append(sample)
        for name, each in found.items():
            yield _family(BY_NAME[name], each, origin)

    def describe(self) -> list[Metric]:
        """Nothing: a registry must not take a snapshot when the collector is registered."""
        return []


def exposition(runtime: Runtime, accept: str = "") -> tuple[str, bytes]:
    """The media type and the body of an answer to a scrape. ``accept`` is the scraper's header."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(GuardCollector(runtime))
    encoder, media_type = choose_encoder(accept)
    return media_type, encoder(registry)


def _family(family: Family, each: list[Sample], origin: str) -> Metric:
    name, labels = f"{PREFIX}_{family.name}", (ORIGIN, *family.labels)
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, family.help, labels=labels)
        for sample in each:
            assert isinstance(sample.value, Bins)  # noqa: S101 - by the catalogue
            bounds = [*map(repr, sample.value.edges), "+Inf"]
            histogram.add_metric(
                _values(origin, sample), list(zip(bounds, sample.value.upto, strict=True)), sample.value.total
            )
        return histogram
    if family.kind == "info":
        info = InfoMetricFamily(name, family.help, labels=labels)
        for sample in each:
            info.add_metric(_values(origin, sample), {})
        return info
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    plain = kind(name, family.help, labels=labels)
    for sample in each:
        assert not isinstance(sample.value, Bins)  # noqa: S101 - by the catalogue
        plain.add_metric(_values(origin, sample), float(sample.value))
    return plain


def _values(origin: str, sample: Sample) -> list[str]:
    return [origin, *(value[:_MOST_LABEL] for value in sample.labels)]
