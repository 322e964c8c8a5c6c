# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Language-independent meanings of n-way parallel synthetic sentences, drawn from a seed and an index.

Choice: amounts, minutes and hours do not end in 1 or 2 (except 11 and 12), and hours exclude 1 and 21: many languages
inflect these numerals for the noun, which number spelling does not support. For the same reason amounts are below 200
or whole thousands (Spanish inflects hundreds), and ordinals are at most 10.
"""

import hashlib
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date

LANGUAGES = (
    "af am ar az be bg bn bs ca cs cy da de el en es et eu fa fi fil fr ga gl gu ha he hi hr hu hy id ig is it ja "
    "ka kk km kn ko ku ky lb lo lt lv mi mk ml mn mr ms mt my nb ne nl pa pl ps pt qu ro ru sd si sk sl so sq sr sv "
    "sw ta te tg th tk tr uk ur uz vi xh yo zh zu"
).split()
TERRITORIES = (
    "AD AE AF AG AL AM AO AR AT AU AZ BA BB BD BE BF BG BH BI BJ BN BO BR BS BT BW BY BZ CA CD CF CG CH CI CL CM CN "
    "CO CR CU CV CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FM FR GA GB GD GE GH GM GN GQ GR GT GW GY HN HR HT "
    "HU ID IE IL IN IQ IR IS IT JM JO JP KE KG KH KI KM KN KP KR KW KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME "
    "MG MH MK ML MM MN MR MT MU MV MW MX MY MZ NA NE NG NI NL NO NP NR NZ OM PA PE PG PH PK PL PT PW PY QA RO RS RU "
    "RW SA SB SC SD SE SG SI SK SL SM SN SO SR SS ST SV SY TD TG TH TJ TL TM TN TO TR TT TV TZ UA UG US UY UZ VC VE "
    "VN VU WS YE ZA ZM ZW"
).split()
CURRENCIES = (
    "USD EUR GBP JPY CNY INR RUB CHF CAD AUD NZD MXN BRL KRW TRY ZAR SEK NOK DKK PLN CZK HUF THB IDR MYR PHP VND "
    "EGP NGN KES ARS CLP COP PEN UAH KZT ILS SAR AED PKR BDT"
).split()
UNITS = (
    "duration-year duration-month duration-week duration-day duration-hour duration-minute duration-second "
    "length-kilometer length-meter length-centimeter length-millimeter length-mile length-foot length-inch "
    "mass-kilogram mass-gram volume-liter volume-milliliter digital-gigabyte digital-megabyte electric-volt "
    "power-watt power-kilowatt temperature-celsius concentr-percent speed-kilometer-per-hour angle-degree "
    "frequency-hertz area-square-meter area-hectare energy-calorie"
).split()
RELATIVE_UNITS = ("minute", "hour", "day", "week", "month", "year")
SPLITS = ("train", "dev", "test")
DEV_SHARE = TEST_SHARE = 0.05
FIRST_DAY, LAST_DAY = date(1900, 1, 1).toordinal(), date(2069, 12, 31).toordinal()


@dataclass(frozen=True)
class Content:
    """The meaning of a sentence.

    Attributes:
        kind: one of `CONTENT_KINDS`.
        values: codes and numbers, in the order defined by the kind.
    """

    kind: str
    values: tuple[int | str, ...]

    @property
    def split(self) -> str:
        """`train`, `dev` or `test`, by a hash of the meaning; the same for every language and seed."""
        digest = hashlib.blake2b(repr((self.kind, self.values)).encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        return "dev" if place < DEV_SHARE else "test" if place < DEV_SHARE + TEST_SHARE else "train"


def _is_uninflected(number: int) -> bool:
    return number % 100 in (11, 12) or number % 10 not in (1, 2)


_SMALL = [number for number in range(3, 200) if _is_uninflected(number)]
_AMOUNTS = _SMALL + [1000 * number for number in _SMALL if number < 100]
_MINUTES = [number for number in range(10, 60) if _is_uninflected(number)]
_HOURS = [hour for hour in range(2, 24) if hour != 21]


def _cardinal(source: random.Random) -> tuple:
    return (source.randrange(10 ** source.randint(1, 6)),)


def _digits(source: random.Random) -> tuple:
    return tuple(source.randrange(10) for _ in range(source.randint(3, 9)))


def _listing(source: random.Random) -> tuple:
    names, kind = source.choice(((LANGUAGES, "language"), (TERRITORIES, "territory")))
    return (source.choice(("and", "or")), kind, *source.sample(names, source.randint(2, 3)))


def _quantity(source: random.Random) -> tuple:
    return (source.choice(_AMOUNTS), source.choice(UNITS))


def _duration(source: random.Random) -> tuple:
    small = [number for number in _MINUTES if number < 24]
    return (source.choice(small), source.choice(_MINUTES), source.choice(_MINUTES))


def _relative(source: random.Random) -> tuple:
    sign = source.choice((-1, 1))
    return (sign * source.choice([n for n in _SMALL if n < 100]), source.choice(RELATIVE_UNITS))


def _time(source: random.Random) -> tuple:
    return (60 * source.choice(_HOURS) + source.choice(_MINUTES),)


def _date(source: random.Random) -> tuple:
    return (source.randint(FIRST_DAY, LAST_DAY),)


# Maps kinds to (weight, draw). Kinds with few meanings have small weights, to avoid duplicates.
_DRAWS: dict[str, tuple[float, Callable[[random.Random], tuple]]] = {
    "cardinal": (10, _cardinal),
    "digits": (8, _digits),
    "ordinal": (0.5, lambda source: (source.randint(1, 10),)),
    "language": (2, lambda source: (source.choice(LANGUAGES),)),
    "territory": (4, lambda source: (source.choice(TERRITORIES),)),
    "locale": (6, lambda source: (source.choice(LANGUAGES), source.choice(TERRITORIES))),
    "listing": (10, _listing),
    "currency": (10, lambda source: (source.choice(_AMOUNTS), source.choice(CURRENCIES))),
    "quantity": (14, _quantity),
    "compact": (4, lambda source: (source.choice(_SMALL), source.choice((6, 9)))),
    "duration": (8, _duration),
    "relative": (8, _relative),
    "time": (5, _time),
    "weekday": (0.5, lambda source: (source.randrange(7),)),
    "month": (0.5, lambda source: (source.randint(1, 12),)),
    "month_year": (4, lambda source: (source.randint(1900, 2069), source.randint(1, 12))),
    "date": (8, _date),
    "datetime": (8, lambda source: (*_date(source), *_time(source))),
}
CONTENT_KINDS = tuple(_DRAWS)


def content(seed: int, index: int, *, split: str | None = None, kinds: Collection[str] = CONTENT_KINDS) -> Content:
    """The meaning at `index` for a seed; a pure function of its arguments.

    Args:
        seed: seed of the stream.
        index: position in the stream, any integer.
        split: draw until the meaning belongs to this split; None means any split.
        kinds: kinds to draw from.

    Raises:
        ValueError: `split` or one of `kinds` is unknown, or `kinds` is empty.
    """
    unknown = sorted(set(kinds) - set(CONTENT_KINDS))
    if unknown or not kinds:
        raise ValueError(f"unknown kinds of content {unknown}; expected some of {', '.join(CONTENT_KINDS)}")
    if split is not None and split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    source = random.Random(f"{seed}:{index}")
    names = [kind for kind in CONTENT_KINDS if kind in kinds]
    weights = [_DRAWS[kind][0] for kind in names]
    for _ in range(10_000):
        kind = source.choices(names, weights)[0]
        meaning = Content(kind, _DRAWS[kind][1](source))
        if split is None or meaning.split == split:
            return meaning
    raise ValueError(f"the kinds {', '.join(names)} have no meanings in the split {split!r}; add other kinds")
