"""Numbers within bounds, digit by digit: texts without needless zeros and without exponents."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from nearstream.grammars.automaton import MOST_AUTOMATON_STATES, Automaton, automaton
from nearstream.grammars.expressions import EMPTY, NEVER, Expr, Text, alt, chars, optional, repeat, seq
from nearstream.grammars.rules import too_large

DIGIT = chars(((48, 57),))
_FIRST = chars(((49, 57),))
_MOST_LISTED = 64
_SAFE_DIGITS = 15
"""So many digits of a decimal number survive in the floating point numbers of those who read it."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A number that is the last allowed one, or just beyond it."""

    value: Fraction
    beyond: bool = False


def any_integer() -> Expr:
    return seq(optional(Text("-")), alt((Text("0"), seq(_FIRST, repeat(DIGIT)))))


def any_number() -> Expr:
    """With at most two digits of an exponent, so that it is not beyond what can be read."""
    sign = chars(((43, 43), (45, 45)))
    exponent = seq(chars(((69, 69), (101, 101))), optional(sign), repeat(DIGIT, 1, 2))
    return seq(any_integer(), optional(seq(Text("."), repeat(DIGIT, 1))), optional(exponent))


def integers(low: Bound | None, high: Bound | None, multiple: int | None) -> Expr | Automaton:
    """The whole numbers within bounds that are multiples of `multiple`."""
    least = None if low is None else _whole(low, up=True)
    most = None if high is None else _whole(high, up=False)
    step = multiple or 1
    if least is not None and most is not None:
        listed = range(-(-least // step) * step, most + 1, step)
        if len(listed) <= _MOST_LISTED:
            return alt(Text(str(number)) for number in listed)
    body = _integers(least, most)
    if step == 1:
        return automaton(body)
    return automaton(body).both(_multiples(step))


def decimals(low: Bound | None, high: Bound | None) -> Expr:
    """Numbers within bounds. Raises ValueError where digits as many as these are not safe to compare."""
    places = max(_places(low), _places(high), 2) + 2
    wide = _SAFE_DIGITS - places
    ceiling = Bound(Fraction(10**wide), beyond=True)
    floor = Bound(Fraction(-(10**wide)), beyond=True)
    low = floor if low is None or low.value < floor.value else low
    high = ceiling if high is None or high.value > ceiling.value else high
    if wide < 1 or low.value >= ceiling.value or high.value <= floor.value:
        raise ValueError(f"bounds with more than {_SAFE_DIGITS} digits are not supported")
    scale = 10**places
    least = _whole(Bound(low.value * scale, low.beyond), up=True)
    most = _whole(Bound(high.value * scale, high.beyond), up=False)
    if least > most:
        return NEVER
    ways = []
    if most >= 0:
        ways.append(_scaled(max(least, 0), most, places))
    if least < 0:
        ways.append(seq(Text("-"), _scaled(max(-most, 1), -least, places)))
    return alt(ways)


def _whole(bound: Bound, *, up: bool) -> int:
    """The first whole number within a bound."""
    value = bound.value
    if up:
        ceiling = -(-value.numerator // value.denominator)
        return ceiling + 1 if bound.beyond and ceiling == value else ceiling
    floor = value.numerator // value.denominator
    return floor - 1 if bound.beyond and floor == value else floor


def _integers(least: int | None, most: int | None) -> Expr:
    ways = []
    if most is None or most >= 0:
        ways.append(_natural(max(least or 0, 0), most))
    if least is None or least < 0:
        begin = 1 if most is None or most >= 0 else -most
        ways.append(seq(Text("-"), _natural(begin, None if least is None else -least)))
    return alt(ways)


def _natural(least: int, most: int | None) -> Expr:
    """The numbers from `least` to `most`, as their digits."""
    if most is not None and most < least:
        return NEVER
    begin = str(least)
    if most is None:
        longer = seq(_FIRST, repeat(DIGIT, len(begin)))
        return alt((_same_length(begin, "9" * len(begin)), longer))
    end = str(most)
    if len(begin) == len(end):
        return _same_length(begin, end)
    between = [seq(_FIRST, repeat(DIGIT, n - 1, n - 1)) for n in range(len(begin) + 1, len(end))]
    return alt(
        (_same_length(begin, "9" * len(begin)), *between, _same_length("1" + "0" * (len(end) - 1), end))
    )


def _same_length(begin: str, end: str) -> Expr:
    """The texts of digits from `begin` to `end`, all of their length."""
    if not begin:
        return EMPTY
    first, last, rest = int(begin[0]), int(end[0]), len(begin) - 1
    lowest, highest = "0" * rest, "9" * rest
    if first == last:
        return seq(Text(begin[0]), _same_length(begin[1:], end[1:]))
    ways = []
    if begin[1:] != lowest:
        ways.append(seq(Text(begin[0]), _same_length(begin[1:], highest)))
        first += 1
    if end[1:] != highest:
        ways.append(seq(Text(end[0]), _same_length(lowest, end[1:])))
        last -= 1
    if first <= last:
        ways.append(seq(chars(((48 + first, 48 + last),)), repeat(DIGIT, rest, rest)))
    return alt(ways)


def _scaled(least: int, most: int, places: int) -> Expr:
    """The numbers from `least` to `most`, each with at most so many of its last digits after the point."""
    width = len(str(most))
    ways: list[Expr] = []
    for shown in range(places + 1):
        step = 10 ** (places - shown)
        begin, end = -(-least // step), most // step
        if begin <= end:
            ways.append(_pointed(begin, end, shown))
    if width > _SAFE_DIGITS + 1:
        raise ValueError(f"bounds with more than {_SAFE_DIGITS} digits are not supported")
    return alt(ways)


def _pointed(begin: int, end: int, shown: int) -> Expr:
    """From `begin` to `end`, with the last `shown` digits after a point."""
    if not shown:
        return _natural(begin, end)
    scale = 10**shown
    first, first_rest = divmod(begin, scale)
    last, last_rest = divmod(end, scale)
    pad = f"0{shown}d"
    lowest, highest = "0" * shown, "9" * shown
    if first == last:
        return seq(Text(f"{first}."), _same_length(f"{first_rest:{pad}}", f"{last_rest:{pad}}"))
    ways = [seq(Text(f"{first}."), _same_length(f"{first_rest:{pad}}", highest))]
    ways.append(seq(Text(f"{last}."), _same_length(lowest, f"{last_rest:{pad}}")))
    if first + 1 <= last - 1:
        ways.append(seq(_natural(first + 1, last - 1), Text("."), repeat(DIGIT, shown, shown)))
    return alt(ways)


def _multiples(step: int) -> Automaton:
    """The whole numbers that leave no rest, by the rest that the digits so far leave."""
    if step + 2 > MOST_AUTOMATON_STATES:
        raise too_large(f"a multiple of {step}")
    offset = 2
    digits = [
        tuple((48 + d, 48 + d, offset + (rest * 10 + d) % step) for d in range(10)) for rest in range(step)
    ]
    start = ((45, 45, 1), *digits[0])
    return Automaton((tuple(start), digits[0], *digits), frozenset({offset}))


def _places(bound: Bound | None) -> int:
    """How many digits after the point a bound has. Raises ValueError where they never end."""
    if bound is None:
        return 0
    places = next((n for n in range(_SAFE_DIGITS) if (bound.value * 10**n).denominator == 1), None)
    if places is None:
        raise ValueError(f"bounds with more than {_SAFE_DIGITS} digits are not supported")
    return places
