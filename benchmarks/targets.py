"""What ``benchmarks.request`` measures: the bare app, the guard in front of it, and the naive composition.

The naive composition is what the documentation of each package suggests, put together: ``BaseHTTPMiddleware``, the
presidio analyzer inline, ``IsolationForest.score_samples``, an HTTP call to a policy service, an Ed25519 signature, a
JSON line and an fsync for each request. It looks at the request only, which favours it.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.harness import with_cpu

PATH: Final = "/v1/chat/completions"


async def _complete(request: Request) -> Response:
    asked = json.loads(await request.body())["messages"][-1]["content"]
    message = {"role": "assistant", "content": f"You wrote: {asked}"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return JSONResponse({"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice]})


def app() -> Starlette:
    """A model that answers with the last message."""
    return Starlette(routes=[Route(PATH, _complete, methods=["POST"])])


def bare() -> Any:
    """The app alone."""
    return with_cpu(app())


def guarded() -> Any:
    """The whole guard with its defaults, state in ``$BENCH_STATE``."""
    from guard.config import load_config
    from guard.middleware import GuardMiddleware

    config = load_config(
        environ={},
        state_directory=os.environ["BENCH_STATE"],
        routes=({"path": "/v1/**", "provider": "bench"},),
        providers={"bench": {"external": True}},
        # The requests come from many callers: one caller that sends as fast as it can is rightly stopped.
        identity={"trusted_header": {"peers": ("127.0.0.1/32",)}},
    )
    return with_cpu(GuardMiddleware(app(), config))


def excluded() -> Any:
    """The guard on a route that it does not inspect."""
    return with_cpu(passing(app(), os.environ["BENCH_STATE"]))


def passing(inner: Any, state: str) -> Any:
    """The guard in front of ``inner``, on a route that it does not inspect."""
    from guard.config import load_config
    from guard.middleware import GuardMiddleware

    config = load_config(environ={}, state_directory=state, routes=({"path": "/v1/**", "inspect": False},))
    return GuardMiddleware(inner, config)


def policy_service() -> Any:
    """A trivial service that answers as OPA's data API does."""

    async def decide(request: Request) -> Response:
        await request.body()
        return JSONResponse({"result": {"allow": True}})

    return Starlette(routes=[Route("/v1/data/guard/decision", decide, methods=["POST"])])


def naive() -> Any:
    """The naive composition; its policy service listens on ``$BENCH_POLICY_PORT``."""
    import aiohttp
    import numpy as np
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from sklearn.ensemble import IsolationForest

    analyzer = _presidio()
    forest = IsolationForest(n_estimators=100, random_state=0).fit(np.random.default_rng(0).normal(size=(2000, 8)))
    key = Ed25519PrivateKey.generate()
    log = (Path(os.environ["BENCH_STATE"]) / "naive.jsonl").open("ab")
    url = f"http://127.0.0.1:{os.environ['BENCH_POLICY_PORT']}/v1/data/guard/decision"
    sessions: list[aiohttp.ClientSession] = []

    async def guard(request: Request, call_next: Any) -> Response:
        if not sessions:
            sessions.append(aiohttp.ClientSession())
        document = json.loads(await request.body())
        found = [r.to_dict() for m in document["messages"] for r in analyzer.analyze(m["content"], language="en")]
        score = float(forest.score_samples(np.zeros((1, 8)))[0])
        async with sessions[0].post(url, json={"input": {"findings": found, "score": score}}) as answer:
            allow = (await answer.json())["result"]["allow"]
        record = json.dumps({"ts": time.time(), "allow": allow, "findings": found, "score": score}).encode()
        log.write(record + b" " + base64.b64encode(key.sign(record)) + b"\n")
        log.flush()
        os.fsync(log.fileno())
        response: Response = await call_next(request)
        return response

    inner = app()
    inner.add_middleware(BaseHTTPMiddleware, dispatch=guard)
    return with_cpu(inner)


def _presidio() -> Any:
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):
        """A tokenizer without a model: patterns only, as in the published comparison."""

        def __init__(self) -> None:
            super().__init__()
            self.nlp: dict[str, Any] = {"en": spacy.blank("en")}  # type: ignore[assignment]

        def load(self) -> None:
            """Nothing is downloaded."""

    # Presidio asks a live suffix list by default; the benchmark stays on this machine.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # type: ignore[assignment]
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    return AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])
