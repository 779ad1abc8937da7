"""Go's ``fmt.Sprintf`` for the arguments that Rego hands it: integers, floats and strings (anything else arrives as
its Rego text), and for those of templates, which may be booleans and nil too. Verbs: ``% v d b o O x X c q U e E f F g
G s t T`` (``b x X`` of floats too), flags ``# + - space 0``, width, precision, ``*`` and argument indexes ``[n]``. What
Go answers to a wrong verb (``%!d(string=hi)``) is answered here too.
Source: https://pkg.go.dev/fmt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .numbers import format_number
from .show import quote

MAX_LENGTH = 1 << 24
_MAX_WIDTH = 1_000_000
_PLAIN_DIGITS = 6


@dataclass(slots=True)
class _Spec:
    flags: set[str]
    width: int | None = None
    precision: int | None = None


def sprintf(template: str, args: list[Any]) -> str:
    """The formatted text."""
    return _Formatter(template, args).run()


class _Formatter:
    def __init__(self, template: str, args: list[Any]) -> None:
        self.template = template
        self.args = args
        self.position = 0
        self.next = 0
        self.reordered = False
        self.good_index = True

    def run(self) -> str:
        out: list[str] = []
        size, template = 0, self.template
        while True:
            start = template.find("%", self.position)
            if start < 0:
                out.append(template[self.position :])
                break
            out.append(template[self.position : start])
            self.position = start + 1
            out.append(self.verb())
            size += len(out[-2]) + len(out[-1])
            if size > MAX_LENGTH:
                raise ValueError("the result is too long")
        if not self.reordered and self.next < len(self.args):
            rest = ", ".join(f"{_go_type(arg)}={_format('v', arg, _Spec(set()))}" for arg in self.args[self.next :])
            out.append(f"%!(EXTRA {rest})")
        return "".join(out)

    def verb(self) -> str:
        spec = _Spec(set())
        self.good_index = True
        after_index = False
        while self.peek() in {"#", "+", "-", " ", "0"} and self.peek():
            spec.flags.add(self.take())
        after_index = self.index()
        bad = ""
        if self.peek() == "*":
            self.take()
            spec.width, bad = self.star("%!(BADWIDTH)")
            if spec.width is not None and spec.width < 0:
                spec.flags.add("-")
                spec.width = -spec.width
            after_index = False
        else:
            spec.width = self.number()
            if after_index and spec.width is not None:
                self.good_index = False
        if self.peek() == ".":
            self.take()
            if after_index:
                self.good_index = False
            after_index = self.index()
            if self.peek() == "*":
                self.take()
                spec.precision, more = self.star("%!(BADPREC)")
                bad += more
                if spec.precision is not None and spec.precision < 0:
                    spec.precision = None
                    bad += "%!(BADPREC)"
                after_index = False
            else:
                spec.precision = self.number() or 0
        if not after_index:
            self.index()
        return bad + self.finish(spec)

    def finish(self, spec: _Spec) -> str:
        verb = self.take()
        if not verb:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        if not self.good_index:
            return f"%!{verb}(BADINDEX)"
        if self.next >= len(self.args):
            return f"%!{verb}(MISSING)"
        arg = self.args[self.next]
        self.next += 1
        return _format(verb, arg, spec)

    def peek(self) -> str:
        return self.template[self.position : self.position + 1]

    def take(self) -> str:
        found = self.peek()
        self.position += 1
        return found

    def number(self) -> int | None:
        start = self.position
        while self.peek().isascii() and self.peek().isdigit():
            self.position += 1
        text = self.template[start : self.position]
        return min(int(text[:8]), _MAX_WIDTH) if text else None

    def star(self, problem: str) -> tuple[int | None, str]:
        if self.next < len(self.args):
            value = self.args[self.next]
            self.next += 1
            if type(value) is int and abs(value) <= _MAX_WIDTH:
                return value, ""
        return None, problem

    def index(self) -> bool:
        """``[n]``: the number of the next argument, from 1."""
        if self.peek() != "[":
            return False
        self.reordered = True
        end = self.template.find("]", self.position)
        if end < 0:
            self.good_index = False
            self.position += 1
            return False
        text = self.template[self.position + 1 : end]
        self.position = end + 1
        if text.isdigit() and 1 <= int(text[:9]) <= len(self.args):
            self.next = int(text) - 1
            return True
        self.good_index = False
        return True


def _go_type(arg: Any) -> str:
    if type(arg) is int:
        return "int" if -(1 << 63) <= arg < 1 << 63 else "*big.Int"
    return {float: "float64", bool: "bool"}.get(type(arg), "string")


def _format(verb: str, arg: Any, spec: _Spec) -> str:
    if verb == "T":
        return _pad(_go_type(arg), spec)
    kind = type(arg)
    if arg is None:
        return _pad("<nil>", spec) if verb == "v" else f"%!{verb}(<nil>)"
    if kind is bool:
        text = _pad(str(arg).lower(), spec) if verb in {"v", "t"} else None
    elif kind is int:
        text = _integer(verb, arg, spec)
    elif kind is float:
        text = _float(verb, arg, spec)
    else:
        text = _string(verb, arg, spec)
    if text is not None:
        return text
    if _go_type(arg) == "*big.Int":
        return f"%!{verb}(big.Int={_decimal(arg)})"
    return f"%!{verb}({_go_type(arg)}={_format('v', arg, spec)})"


def _pad(text: str, spec: _Spec, *, numeric: bool = False) -> str:
    width = spec.width or 0
    if "-" in spec.flags:
        return text.ljust(width)
    if numeric and "0" in spec.flags and spec.precision is None:
        sign = text[0] if text[:1] in {"+", "-", " "} else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    if not numeric and "0" in spec.flags:
        return text.rjust(width, "0")
    return text.rjust(width)


def _sign(negative: bool, spec: _Spec) -> str:
    return "-" if negative else "+" if "+" in spec.flags else " " if " " in spec.flags else ""


_BASES = {
    "d": ("", "d"),
    "v": ("", "d"),
    "b": ("0b", "b"),
    "o": ("0", "o"),
    "O": ("0o", "o"),
    "x": ("0x", "x"),
    "X": ("0X", "X"),
}


def _integer(verb: str, arg: int, spec: _Spec) -> str | None:
    if verb in _BASES:
        prefix, code = _BASES[verb]
        digits = format(abs(arg), code) if code != "d" else _decimal(abs(arg))
        if spec.precision is not None:
            digits = "" if spec.precision == 0 and arg == 0 else digits.rjust(spec.precision, "0")
        if "#" not in spec.flags and verb != "O":
            prefix = ""
        sign = _sign(arg < 0, spec)
        if "0" in spec.flags and "-" not in spec.flags and spec.precision is None and spec.width:
            digits = digits.rjust(spec.width - len(sign), "0")
        return _pad(sign + prefix + digits, _Spec(spec.flags - {"0"}, spec.width, None))
    if verb == "s" and _go_type(arg) == "*big.Int":
        return _pad(_sign(arg < 0, spec) + _decimal(abs(arg)), spec)
    if verb in {"c", "q", "U"} and _go_type(arg) == "int":
        char = chr(arg) if 0 <= arg <= 0x10FFFF and not 0xD800 <= arg < 0xE000 else "\ufffd"
        text = {"c": char, "q": quote(char, "'"), "U": f"U+{arg & ((1 << 64) - 1):04X}"}[verb]
        return _pad(text, _Spec(spec.flags - {"0"}, spec.width, None))
    return None


def _decimal(value: int) -> str:
    return format_number(value)


def _float(verb: str, arg: float, spec: _Spec) -> str | None:
    if verb not in {"v", "e", "E", "f", "F", "g", "G", "b", "x", "X"}:
        return None
    value = abs(arg)
    if math.isinf(arg) or math.isnan(arg):
        text = "NaN" if math.isnan(arg) else "Inf"
        return _pad((("-" if arg < 0 else "+") if text == "Inf" else "") + text, _Spec(spec.flags - {"0"}, spec.width))
    if verb in {"f", "F"}:
        text = f"{value:.{6 if spec.precision is None else spec.precision}f}"
    elif verb in {"b", "x", "X"}:
        text = _binary(value) if verb == "b" else _hexadecimal(value, spec.precision)
    elif verb in {"e", "E"}:
        text = f"{value:.{6 if spec.precision is None else spec.precision}{verb}}"
    elif spec.precision is None:
        text = general(value)
    else:
        text = f"{value:.{spec.precision or 1}g}"
    if verb in {"G", "X"}:
        text = text.upper()
    return _pad(_sign(math.copysign(1, arg) < 0, spec) + text, _Spec(spec.flags, spec.width, None), numeric=True)


def _binary(value: float) -> str:
    """A whole mantissa and a power of two: ``6755399441055744p-52``."""
    mantissa, exponent = math.frexp(value)
    shift = max(exponent - 53, -1074) if value else -1074
    return f"{int(math.ldexp(mantissa, exponent - shift))}p{shift:+d}"


def _hexadecimal(value: float, precision: int | None) -> str:
    """``0x1.8p+01``: a mantissa in base 16, ``precision`` digits of it past the point, and a power of two."""
    if not value:
        return "0x0" + ("." + "0" * precision if precision else "") + "p+00"
    mantissa, exponent = math.frexp(value)
    bits = int(math.ldexp(mantissa, 53))
    digits = 13 if precision is None else precision
    if digits < 13:
        bits = round(Fraction(bits, 1 << 4 * (13 - digits))) << 4 * (13 - digits)
    if bits >> 53:
        bits, exponent = bits >> 1, exponent + 1
    fraction = f"{bits & ((1 << 52) - 1):013x}"
    fraction = fraction.rstrip("0") if precision is None else fraction[:digits].ljust(digits, "0")
    power = exponent - 1
    return f"0x1{'.' if fraction else ''}{fraction}p{'-' if power < 0 else '+'}{abs(power):02d}"


def general(value: float) -> str:
    """The shortest text that reads back the same; an exponent from 1e6 and below 1e-4."""
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    if exponent:
        power = int(exponent)
    elif value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    else:
        power = Decimal(text).adjusted()
    if -4 <= power < _PLAIN_DIGITS:
        return format(Decimal(text), "f").removesuffix(".0")
    sign = "-" if power < 0 else "+"
    if not exponent:
        digits = Decimal(text).normalize().as_tuple().digits
        tail = "".join(map(str, digits[1:]))
        mantissa = f"{'-' if value < 0 else ''}{digits[0]}{'.' if tail else ''}{tail}"
    return f"{mantissa.removesuffix('.0')}e{sign}{abs(power):02d}"


def _string(verb: str, arg: str, spec: _Spec) -> str | None:
    if verb == "v" and "#" in spec.flags:
        return _pad(quote(arg), spec)
    if verb in {"v", "s"}:
        return _pad(arg if spec.precision is None else arg[: spec.precision], spec)
    if verb == "q":
        if "#" in spec.flags and "`" not in arg and arg.isprintable():
            return _pad(f"`{arg}`", spec)
        return _pad(quote(arg, ascii_only="+" in spec.flags), spec)
    if verb in {"x", "X"}:
        data = arg.encode()[: spec.precision]
        lead, between = ("0x", " 0x") if "#" in spec.flags else ("", " ")
        text = between.join(f"{byte:02x}" for byte in data) if " " in spec.flags else data.hex()
        text = lead + text if text else ""
        return _pad(text.upper() if verb == "X" else text, spec)
    return None
