"""The scenes of ``guard demo``: what is sent, and what it is there to show."""

from __future__ import annotations

from typing import Any, Final

import msgspec

ACME_KEY: Final = "demo-acme-0b7c5d1e9f2a4c6e8d3b"
BURST_KEY: Final = "demo-burst-6a1f3c5e7d9b2a4c8e0f"
ALLOWED_MODEL: Final = "small-1"
BURST_REQUESTS: Final = 80
ANOMALY_THRESHOLD: Final = 0.6
"""Below the default, which never denies a newcomer by behaviour alone; and in this script everybody is a newcomer."""

CHAT: Final = "/v1/chat/completions"
MESSAGES: Final = "/v1/messages"


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the script. ``body`` is sent as it is if it is bytes."""

    title: str
    path: str
    body: dict[str, Any] | bytes
    key: str = ACME_KEY
    repeat: int = 1


def _chat(text: str, *, model: str = ALLOWED_MODEL, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


_TOOL: Final = {
    "type": "function",
    "function": {"name": "send_mail", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}},
}

SCENES: Final = (
    Scene(title="A clean question", path=CHAT, body=_chat("Why is the sky blue?")),
    Scene(
        title="Personal data: hidden from the provider, restored in the answer",
        path=CHAT,
        body=_chat("Thank jane.roe@northwind-traders.com, who called from +1 415 555 2671."),
    ),
    Scene(
        title="The same in a stream, on Anthropic's API",
        path=MESSAGES,
        body=_chat("Write to jane.roe@northwind-traders.com today.", max_tokens=64, stream=True),
    ),
    Scene(
        title="Personal data in the arguments of an earlier tool call",
        path=CHAT,
        body={
            "model": ALLOWED_MODEL,
            "tools": [_TOOL],
            "messages": [
                {"role": "user", "content": "Please answer the customer."},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "send_mail", "arguments": '{"to": "jane.roe@northwind-traders.com"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "sent"},
                {"role": "user", "content": "Did it arrive?"},
            ],
        },
    ),
    Scene(
        title="A card number, for a provider that may not hold it",
        path=CHAT,
        body=_chat("Charge 4111 1111 1111 1111 for the order."),
    ),
    Scene(
        title="A secret pasted into a prompt",
        path=CHAT,
        body=_chat("Why does this fail? aws_access_key_id = " + "AKIA" + "Q7ZL5TN4WX2RKD3V"),
    ),
    Scene(title="A model that the tenant may not use", path=CHAT, body=_chat("Hello!", model="huge-9")),
    Scene(
        title="An answer that leaks: the model brings in data that nobody sent",
        path=CHAT,
        body=_chat("Please recite the customer record."),
    ),
    Scene(
        title="A body that two parsers would read differently",
        path=CHAT,
        body=b'{"model":"small-1","messages":[],"messages":[{"role":"user","content":"hidden"}]}',
    ),
    Scene(title="An API key that nobody issued", path=CHAT, body=_chat("Hello!"), key="stolen-key"),
    Scene(
        title=f"A burst: {BURST_REQUESTS} requests from a new caller (anomaly_threshold is {ANOMALY_THRESHOLD} here)",
        path=CHAT,
        body=_chat("Again!"),
        key=BURST_KEY,
        repeat=BURST_REQUESTS,
    ),
)
