"""An app for servers with several workers: it says who answered, and how busy the guard took the caller to be."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from guard import GuardMiddleware


async def tell(request: Request) -> Response:
    """The worker, and the caller's requests of the last minute as its guard counted them."""
    counted = {feature.name: feature.value for feature in request.scope["guard"].anomaly.features}
    return JSONResponse({"worker": os.getpid(), "requests_1m": counted["requests_1m"]})


app = Starlette(routes=[Route("/", tell)], middleware=[Middleware(GuardMiddleware)])
