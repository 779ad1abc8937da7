"""What the mock model says: a script turns each call into a reply. Deterministic: no clock, no randomness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

ASKS_FOR_TOOL: Final = "call the tool"
ASKS_FOR_LEAK: Final = "recite the customer record"
ASKS_FOR_CONTACT: Final = "recite the contact sheet"
ASKS_FOR_500: Final = "fail with 500"
ASKS_FOR_429: Final = "fail with 429"
ASKS_FOR_SLOWNESS: Final = "answer slowly"
ASKS_FOR_DEATH: Final = "die in mid-stream"

LEAKED_EMAIL: Final = "maria.lopez@contoso-customers.com"
LEAKED_CARD: Final = "4012 8888 8888 1881"
# In two parts, so that scanners of source code do not take the fixture for a key.
LEAKED_SECRET: Final = "AKIA{}".format("Q7ZL5TN4WX2RKD3V")
CONTACT: Final = f"The customer writes from {LEAKED_EMAIL} and pays with {LEAKED_CARD}."
LEAK: Final = f"{CONTACT} Their server uses aws_access_key_id = {LEAKED_SECRET}."

SLOW_SECONDS: Final = 0.2


class Tool(msgspec.Struct, frozen=True):
    """A tool that the request defines. ``schema`` is the JSON Schema of its arguments."""

    name: str
    schema: Mapping[str, Any]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What the model was asked: ``text`` is the last user message, ``tool_result`` the result of a tool call, if the
    conversation ends with one."""

    shape: Literal["openai", "anthropic"]
    model: str
    text: str
    tool_result: str | None = None
    tools: tuple[Tool, ...] = ()
    stream: bool = False
    include_usage: bool = False
    choices: int = 1
    input_tokens: int = 1


class ToolUse(msgspec.Struct, frozen=True):
    """A tool call of the model."""

    name: str
    arguments: Mapping[str, Any]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the model answers, and how the wire behaves.

    ``status`` other than 200 is a provider's error with ``text`` as its message. Streams cut text and tool arguments
    into pieces of ``chunk_code_points`` and wait ``delay_seconds`` before the first and between pieces.
    ``dies_after_pieces`` breaks the connection after that many pieces, unannounced.
    """

    text: str = ""
    tool_use: ToolUse | None = None
    status: int = 200
    chunk_code_points: int = 5
    delay_seconds: float = 0.0
    dies_after_pieces: int | None = None

    @property
    def output_tokens(self) -> int:
        """A token for each four characters, at least one."""
        said = len(self.text) + (len(str(dict(self.tool_use.arguments))) if self.tool_use else 0)
        return max(1, said // 4)


Script: TypeAlias = Callable[[Call], Reply]


def default_script(call: Call) -> Reply:
    """Echo the last user message in a sentence, so that placeholders come back; the ``ASKS_FOR_*`` phrases misbehave.

    A tool call happens when the request defines tools and the message holds ``call the tool``: the message becomes the
    value of each argument that takes a string. A tool's result is echoed like a message.
    """
    if call.tool_result is not None:
        return Reply(text=f"The tool answered: {call.tool_result}")
    asked = call.text.lower()
    if ASKS_FOR_500 in asked:
        return Reply(status=500, text="The mock model had an internal error.")
    if ASKS_FOR_429 in asked:
        return Reply(status=429, text="The mock model is rate limited.")
    if ASKS_FOR_LEAK in asked:
        return Reply(text=LEAK)
    if ASKS_FOR_CONTACT in asked:
        return Reply(text=CONTACT)
    if call.tools and ASKS_FOR_TOOL in asked:
        tool = call.tools[0]
        return Reply(tool_use=ToolUse(tool.name, arguments_for(tool.schema, call.text)))
    echo = f"You said: {call.text} That is all I know."
    if ASKS_FOR_SLOWNESS in asked:
        return Reply(text=echo, delay_seconds=SLOW_SECONDS, chunk_code_points=20)
    if ASKS_FOR_DEATH in asked:
        return Reply(text=echo, dies_after_pieces=2)
    return Reply(text=echo)


def arguments_for(schema: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Arguments that fit a JSON Schema of type object: ``text`` for strings, the first of an enumeration, and the
    empty value of every other type."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {name: _value_for(member, text) for name, member in properties.items() if isinstance(member, Mapping)}


def _value_for(schema: Mapping[str, Any], text: str) -> Any:
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    match schema.get("type"):
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case "array":
            items = schema.get("items")
            return [_value_for(items, text)] if isinstance(items, Mapping) else []
        case "object":
            return arguments_for(schema, text)
        case "null":
            return None
        case _:
            return text
