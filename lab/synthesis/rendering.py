# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Rendering of meanings as text, with patterns and names of CLDR (Babel) and numbers in words (num2words).

The form `written` is that of CLDR: digits, punctuation, capitals. The form `spoken` has numbers in words, lower case
and no punctuation; it requires support of the language in num2words. In English, Spanish, French, Italian and Russian,
spoken dates and times are idiomatic; in other languages they are cardinal numbers in CLDR's order.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from lab.synthesis.content import Content
from lab.synthesis.espeak import INSTALL_HINT
from mu2slam_hf.data.text import clean_text, normalize_for_scoring

FORMS = ("written", "spoken")
_NUM2WORDS_NAMES = {"nb": "no", "nn": "no", "kk": "kz"}
_SPOKEN_TIMES = {"es": "{0} y {1}", "it": "{0} e {1}", "fr": "{0} heures {1}"}
# Spoken forms of abbreviations in CLDR.
_SPOKEN_ABBREVIATIONS = {
    "en": ((r"&", " and "), (r"\bSt\.", "Saint")),
    "ru": ((r"\sг\.", " года"), (r"\bо-ва\b", "острова"), (r"\bо-в\b", "остров")),
    "uk": ((r"\sр\.", " року"),),
}
# Private-use characters as placeholders of day and year while Babel formats a date.
_DAY, _YEAR = "\ue000", "\ue001"


class RenderingError(ValueError):
    """A meaning that cannot be rendered: CLDR or num2words has no pattern, name or spelling for it."""


class Renderer:
    """Renders meanings in one language and form; see also the function `render`."""

    def __init__(self, lang: str, form: str = "written") -> None:
        """Load the data of a language.

        Args:
            lang: language code, such as `pt` or `pt-BR`.
            form: `written` or `spoken`.

        Raises:
            ImportError: Babel or num2words is not installed.
            RenderingError: CLDR does not support the language.
            ValueError: `form` is unknown.
        """
        if form not in FORMS:
            raise ValueError(f"form must be 'written' or 'spoken', got {form!r}")
        try:
            import babel
            import num2words
        except ImportError as error:
            raise ImportError(f"{INSTALL_HINT} ({error.name} is missing)") from error
        try:
            self.locale = _load_locale(lang)
        except (babel.UnknownLocaleError, ValueError) as error:
            raise RenderingError(f"the CLDR data of Babel do not include the language {lang!r}") from error
        self.lang, self.form, self.language = lang, form, self.locale.language
        self._num2words = num2words.num2words
        # num2words truncates unknown languages to two letters ("kok" would be Korean).
        name = _NUM2WORDS_NAMES.get(self.language, self.language)
        self._num2words_name = name if name in num2words.CONVERTER_CLASSES else None
        # Babel has no public API for some of the required patterns.
        self._data: Mapping[str, Any] = self.locale._data

    def render(self, meaning: Content) -> str:
        """Text of a meaning.

        Raises:
            RenderingError: the meaning cannot be rendered in the language.
        """
        try:
            text = getattr(self, f"_render_{meaning.kind}")(*meaning.values)
        except (KeyError, IndexError, NotImplementedError, TypeError, OverflowError) as error:
            raise RenderingError(f"cannot render {meaning} as {self.form} text in {self.lang!r}: {error!r}") from error
        text = clean_text(text)
        if self.form == "spoken":
            for pattern, words in _SPOKEN_ABBREVIATIONS.get(self.language, ()):
                text = re.sub(pattern, words, text)
            text = normalize_for_scoring(text)
        if not text:
            raise RenderingError(f"the {self.form} text for {meaning} in {self.lang!r} is empty")
        return text

    def _words(self, number: int, to: str = "cardinal", **inflection: str) -> str:
        if self._num2words_name is None:
            raise RenderingError(f"num2words does not support the language {self.lang!r}")
        words = self._num2words(number, lang=self._num2words_name, to=to, **inflection)
        if any(char.isdigit() for char in words):
            raise RenderingError(f"num2words cannot spell {number} in {self.lang!r}")
        return words

    def _number(self, number: int) -> str:
        if self.form == "spoken":
            return self._words(number)
        from babel.numbers import format_decimal

        return format_decimal(number, locale=self.locale)

    def _check_own(self, value: object, of_root: object) -> None:
        """Raise an error for defaults of CLDR in languages without an entry ("5 d", "Mon", "M01")."""
        if value == of_root and self.language != "en":
            raise RenderingError(f"CLDR has no entry in {self.lang!r} for {value!r}")

    def _plural(self, patterns: Mapping[str, Any], number: int) -> Any:
        form = self.locale.plural_form(number)
        return patterns[form] if form in patterns else patterns["other"]

    def _unit(self, number: int, unit: str) -> str:
        lengths = self._data["unit_patterns"][unit]
        # In CLDR, `long` only contains differences to `short`.
        patterns = {**lengths.get("short", {}), **lengths.get("long", {})}
        self._check_own(patterns["other"], _root_data()["unit_patterns"].get(unit, {}).get("short", {}).get("other"))
        return self._plural(patterns, number).format(self._number(number))

    def _list(self, items: Sequence[str], style: str) -> str:
        # In CLDR, `unit` only contains differences to `standard`.
        patterns = {**self._data["list_patterns"]["standard"], **self._data["list_patterns"].get(style, {})}
        if style == "or":
            self._check_own(patterns["2"], _root_data()["list_patterns"]["or"]["2"])
        if len(items) == 2:
            text = patterns["2"].format(*items)
        else:
            text = patterns["end"].format(*items[-2:])
            for position, item in reversed(list(enumerate(items[:-2]))):
                text = patterns["start" if position == 0 else "middle"].format(item, text)
        if self.language == "es":
            text = re.sub(r" y (?=h?[ií](?![aeou]))", " e ", text, flags=re.IGNORECASE)
            text = re.sub(r" o (?=h?[oó])", " u ", text, flags=re.IGNORECASE)
        return text

    def _render_cardinal(self, number: int) -> str:
        return self._words(number)

    def _render_digits(self, *digits: int) -> str:
        return " ".join(self._number(digit) for digit in digits)

    def _render_ordinal(self, number: int) -> str:
        return self._words(number, "ordinal")

    def _render_language(self, code: str) -> str:
        return self.locale.languages[code]

    def _render_territory(self, code: str) -> str:
        return self.locale.territories[code]

    def _render_locale(self, language: str, territory: str) -> str:
        return f"{self.locale.languages[language]} ({self.locale.territories[territory]})"

    def _render_listing(self, style: str, kind: str, *codes: str) -> str:
        names = self.locale.languages if kind == "language" else self.locale.territories
        return self._list([names[code] for code in codes], "or" if style == "or" else "standard")

    def _render_currency(self, number: int, code: str) -> str:
        from babel.numbers import get_currency_name, get_currency_unit_pattern

        name = get_currency_name(code, count=number, locale=self.locale)
        if name == code:
            raise RenderingError(f"CLDR has no name of {code} in {self.lang!r}")
        pattern = get_currency_unit_pattern(code, count=number, locale=self.locale)
        return pattern.format(self._number(number), name)

    def _render_quantity(self, number: int, unit: str) -> str:
        return self._unit(number, unit)

    def _render_compact(self, number: int, exponent: int) -> str:
        from babel.numbers import format_compact_decimal

        text = format_compact_decimal(number * 10**exponent, format_type="long", locale=self.locale)
        # If CLDR uses other steps (lakh, crore), rounding would change the meaning.
        if re.findall(r"\d[\d.,\s]*\d|\d", text) != [str(number)]:
            raise RenderingError(f"cannot express {number}e{exponent} in {self.lang!r} without rounding")
        return text.replace(str(number), self._words(number)) if self.form == "spoken" else text

    def _render_duration(self, hours: int, minutes: int, seconds: int) -> str:
        parts = ((hours, "duration-hour"), (minutes, "duration-minute"), (seconds, "duration-second"))
        return self._list([self._unit(number, unit) for number, unit in parts], "unit")

    def _render_relative(self, number: int, unit: str) -> str:
        patterns = self._data["date_fields"][unit]["future" if number > 0 else "past"]
        self._check_own(patterns["other"][0], "+" if number > 0 else "-")
        return self._plural(patterns, abs(number)).format(self._number(abs(number)))

    def _render_time(self, minute_of_day: int) -> str:
        hour, minute = divmod(minute_of_day, 60)
        if self.form == "written":
            return f"{hour:02d}:{minute:02d}"
        if self.language == "ru":
            return f"{self._unit(hour, 'duration-hour')} {self._unit(minute, 'duration-minute')}"
        return _SPOKEN_TIMES.get(self.language, "{0} {1}").format(self._number(hour), self._number(minute))

    def _render_weekday(self, day: int) -> str:
        name = self.locale.days["stand-alone"]["wide"][day]
        self._check_own(name, _root_data()["days"]["format"]["wide"][day])
        return name

    def _render_month(self, month: int) -> str:
        name = self.locale.months["stand-alone"]["wide"][month]
        self._check_own(name, _root_data()["months"]["format"]["wide"][month])
        return name

    def _render_month_year(self, year: int, month: int) -> str:
        return self._date(date(year, month, 1), self._data["datetime_skeletons"]["yMMMM"].pattern)

    def _render_date(self, day: int) -> str:
        return self._date(date.fromordinal(day), self._data["date_formats"]["full"].pattern)

    def _render_datetime(self, day: int, minute_of_day: int) -> str:
        pattern = str(self._data["datetime_formats"]["full"])
        return pattern.format(self._render_time(minute_of_day), self._render_date(day)).replace("'", "")

    def _date(self, day: date, pattern: str) -> str:
        from babel.dates import format_date

        self._render_month(day.month), self._render_weekday(day.weekday())  # raises if there are no such names
        marks = {"d": f"'{_DAY}'", "y": f"'{_YEAR}'"}
        pattern = re.sub(r"'[^']*'|d+|y+", lambda match: marks.get(match[0][0], match[0]), pattern)
        text = format_date(day, pattern, locale=self.locale)
        if self.form == "written":
            return text.replace(_DAY, str(day.day)).replace(_YEAR, str(day.year))
        return text.replace(_DAY, f" {self._spoken_day(day.day)} ").replace(_YEAR, f" {self._spoken_year(day.year)} ")

    def _spoken_day(self, day: int) -> str:
        if self.language == "ru":
            return self._words(day, "ordinal", gender="n")
        if self.language == "en" or (day == 1 and self.language in ("fr", "it")):
            return self._words(day, "ordinal")
        return self._words(day)

    def _spoken_year(self, year: int) -> str:
        if self.language == "ru":
            return self._words(year, "ordinal", case="g")
        return self._words(year, "year") if self.language == "en" else self._words(year)


def _load_data(identifier: str) -> Any:
    """CLDR data of one locale, not shared with other locales.

    Babel resolves inherited entries in place, in dictionaries shared by all locales, so that entries of one locale can
    leak into another (the months of Azerbaijani into Malayalam). With an empty cache nothing is shared.
    """
    from babel import localedata

    with localedata._cache_lock:
        shared, localedata._cache = localedata._cache, {}
        try:
            data: dict[Any, Any] = localedata.load(identifier)
            return localedata.LocaleDataDict(data)
        finally:
            localedata._cache = shared


@lru_cache(maxsize=1)
def _root_data() -> Any:
    return _load_data("root")


def _load_locale(lang: str) -> Any:
    from babel import Locale, localedata

    locale = Locale.parse(lang, sep="-")
    identifier = str(locale)
    data = _load_data(identifier if localedata.exists(identifier) else locale.language)
    vars(locale)["_Locale__data"] = data  # the cache of the property `_data`
    return locale


@lru_cache(maxsize=256)
def _renderer(lang: str, form: str) -> Renderer:
    return Renderer(lang, form)


def render(meaning: Content, lang: str, form: str = "written") -> str:
    """Text of a meaning in a language.

    Args:
        meaning: output of `content`.
        lang: language code.
        form: `written` (digits, capitals, punctuation) or `spoken` (numbers in words, lower case, no punctuation).

    Raises:
        ImportError: the extra `lab` is not installed.
        RenderingError: CLDR or num2words does not support the language or the meaning.
    """
    return _renderer(lang, form).render(meaning)
