"""Numbers as text: the shortest decimal that names the same binary number of 512 bits (spec jobspec-hcl §6)."""

from __future__ import annotations

from decimal import Decimal

BITS = 512
_SHORT = 150  # decimals with fewer digits name their own number shortest
_EXPONENT_LOW, _EXPONENT_HIGH = -4, 6


def plain_text(value: Decimal) -> str:
    """A number without an exponent: `1.0` is `1`, `1e21` has 22 digits."""
    if not value.is_finite():
        return "-Inf" if value < 0 else "Inf"
    text = format(_shortest(value), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def general_text(value: Decimal) -> str:
    """A number with an exponent if it is a million or more, or very small: `1e+06`."""
    if not value.is_finite():
        return "-Inf" if value < 0 else "+Inf"
    if not value or _EXPONENT_LOW <= value.adjusted() < _EXPONENT_HIGH:
        return plain_text(value)
    sign, digits, _ = _shortest(value).as_tuple()
    tail = "".join(map(str, digits[1:])).rstrip("0")
    return f"{'-' if sign else ''}{digits[0]}{'.' + tail if tail else ''}e{value.adjusted():+03}"


def _shortest(value: Decimal) -> Decimal:
    """The decimal with the fewest digits that is nearest to no other binary number."""
    if len(value.as_tuple().digits) < _SHORT:
        return value
    mantissa, exponent = _binary(value.copy_abs())
    if exponent >= 0:
        return value
    # The number and the middles to its neighbours, as whole numbers of the same length, all times 10 ** scale.
    scale = 1 - exponent
    power = 5**scale
    number, low, high = (str((2 * mantissa + step) * power) for step in (0, -1, 1))
    size = max(len(number), len(high))
    number, low, high = number.zfill(size), low.zfill(size), high.zfill(size)
    is_inside = mantissa % 2 == 0
    for at in range(size):
        end = at + 1
        down = low[at] != number[at] or (is_inside and end == size)
        up = number[at] != high[at] and (is_inside or int(number[at]) + 1 < int(high[at]) or end < size)
        if down or up:
            head = int(number[:end])
            nearest_is_up = number[end : end + 1] >= "5"
            head += up and (nearest_is_up or not down)
            return Decimal(f"{'-' if value < 0 else ''}{head}E{size - end - scale}")
    return value


def _binary(value: Decimal) -> tuple[int, int]:
    """The nearest binary number: a mantissa of 512 bits, and the power of two it is multiplied with."""
    numerator, denominator = value.as_integer_ratio()
    exponent = numerator.bit_length() - denominator.bit_length() - BITS
    for _ in range(2):
        top, bottom = (numerator << -exponent, denominator) if exponent < 0 else (numerator, denominator << exponent)
        mantissa, rest = divmod(top, bottom)
        if 2 * rest > bottom or (2 * rest == bottom and mantissa % 2):
            mantissa += 1
        if mantissa.bit_length() <= BITS:
            break
        exponent += 1
    return mantissa, exponent
