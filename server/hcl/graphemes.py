"""User-perceived characters: columns and string functions count grapheme clusters, not code points.

The rules of Unicode's extended clusters as far as general categories give them away: marks and joiners extend, a
joiner glues what follows a pictograph, regional indicators pair up, Hangul jamo make syllables.
"""

from __future__ import annotations

import unicodedata

_JOINER = "\u200d"
_EXTEND = ("Mn", "Me", "Mc")


def clusters(text: str) -> list[str]:
    """The grapheme clusters of a text, in order."""
    if text.isascii() and "\r\n" not in text:
        return list(text)
    found: list[str] = []
    for character in text:
        if found and _joins(found[-1], character):
            found[-1] += character
        else:
            found.append(character)
    return found


def count_clusters(text: str) -> int:
    """How many grapheme clusters a text has."""
    if text.isascii():
        return len(text) - text.count("\r\n")
    return len(clusters(text))


def _joins(cluster: str, character: str) -> bool:
    last = cluster[-1]
    if last == "\r" and character == "\n":
        return True
    if unicodedata.category(last) in ("Cc", "Zl", "Zp"):
        return False
    if character == _JOINER or _extends(character):
        return True
    if last == _JOINER:
        return _is_pictograph(character)
    if _is_regional(character):
        return _is_regional(last) and len(cluster) % 2 == 1
    return _is_hangul_pair(ord(last), ord(character))


def _extends(character: str) -> bool:
    code = ord(character)
    return unicodedata.category(character) in _EXTEND or 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F


def _is_pictograph(character: str) -> bool:
    return unicodedata.category(character) == "So"


def _is_regional(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF


def _is_hangul_pair(first: int, second: int) -> bool:
    lead = 0x1100 <= first < 0x1160
    vowel = 0x1160 <= first < 0x11A8
    syllable = 0xAC00 <= first < 0xD7A4
    open_syllable = syllable and (first - 0xAC00) % 28 == 0
    if lead and (0x1100 <= second < 0x11A8 or 0xAC00 <= second < 0xD7A4):
        return True
    if (vowel or open_syllable) and 0x1160 <= second < 0x1200:
        return True
    return (syllable or 0x11A8 <= first < 0x1200) and 0x11A8 <= second < 0x1200
