"""Django, wrapped from outside. It takes no part in the lifespan and has no WebSocket."""

from __future__ import annotations

import json
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import FileResponse, HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.urls import path

from guard import GuardMiddleware
from guard.config import GuardConfig
from tests.compat.apps import contract

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY="not a secret: of a test",
    USE_TZ=True,
)
django.setup()


async def hello(_request: HttpRequest) -> HttpResponseBase:
    return JsonResponse({"text": "hello"})


async def echo(request: Any) -> HttpResponseBase:
    return JsonResponse(contract.echo(json.loads(request.body)["text"], effect=request.scope["guard"].effect))


async def never(_request: HttpRequest) -> HttpResponseBase:
    contract.note("never")
    return JsonResponse({})


async def form(request: HttpRequest) -> HttpResponseBase:
    return JsonResponse(contract.echo(request.POST["text"]))


async def upload(request: Any) -> HttpResponseBase:
    files = request.FILES
    return JsonResponse(contract.upload(request.POST["text"], files["note"].read(), files["picture"].read()))


async def chat(request: HttpRequest) -> HttpResponseBase:
    body = json.loads(request.body)
    return StreamingHttpResponse(contract.chat(body["messages"][0]["content"]), content_type="text/event-stream")


async def leak(_request: HttpRequest) -> HttpResponseBase:
    return JsonResponse(contract.leak())


async def file(_request: HttpRequest) -> HttpResponseBase:
    return FileResponse(contract.file().open("rb"))


async def large(request: HttpRequest) -> HttpResponseBase:
    return JsonResponse(contract.large(request.body))


async def flow(_request: HttpRequest) -> HttpResponseBase:
    return StreamingHttpResponse(contract.flow(), content_type="text/event-stream")


async def release(_request: HttpRequest) -> HttpResponseBase:
    return JsonResponse(contract.release())


async def endless(_request: HttpRequest) -> HttpResponseBase:
    return StreamingHttpResponse(contract.endless(), content_type="text/event-stream")


urlpatterns = [
    path("ai/hello", hello),
    path("ai/echo", echo),
    path("ai/never", never),
    path("ai/form", form),
    path("ai/upload", upload),
    path("ai/chat", chat),
    path("ai/leak", leak),
    path("ai/file", file),
    path("own/large", large),
    path("own/flow", flow),
    path("own/release", release),
    path("own/endless", endless),
]


def build(_framework: str, config: GuardConfig) -> GuardMiddleware:
    """The app under its guard."""
    return GuardMiddleware(get_asgi_application(), config)
