"""How deep a JSON body is nested, found before anything reads it that recurses."""

from __future__ import annotations

from itertools import accumulate

_STEPS = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")  # one level down, one up, as signed bytes
_OTHERS = bytes(set(range(256)) - set(b'{[}]"'))
_PIECE_BYTES = 64 << 10


def is_deeper(body: bytes, depth_max: int) -> bool:
    """Whether objects and arrays lie in each other more than `depth_max` deep; `{}` is 1 deep.

    Of what is no JSON only the brackets outside of strings count. Takes time in proportion to the body.
    """
    if body.count(b"{") + body.count(b"[") <= depth_max:
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Two quotes with nothing between them say nothing of what is in a string and what is not.
    quoted = body.translate(None, _OTHERS).replace(b'""', b"")
    steps = memoryview(b"".join(quoted.split(b'"')[::2]).translate(_STEPS)).cast("b")
    depth = 0
    for start in range(0, len(steps), _PIECE_BYTES):
        depths = list(accumulate(steps[start : start + _PIECE_BYTES], initial=depth))
        if max(depths) > depth_max:
            return True
        depth = depths[-1]
    return False
