# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Names of the voices and voice variants of espeak-ng."""

# Variants of espeak-ng 1.52 with clearly different log spectra for the same sentence. Whispering, robotic and broken
# ones (whisper*, robosoft*, croak, UniRobot, Demonic, announcer, anikaRobot) and near duplicates are excluded.
VOICE_VARIANTS = tuple(
    "Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen "
    "Reed RicishayMax RicishayMax2 Storm Tweaky adam anika antonio aunty belinda boris caleb david ed edward f1 "
    "f2 f3 f4 f5 grandma grandpa ian iven iven2 kaukovalta klatt klatt3 klatt4 linda m1 m2 m3 m4 m6 m7 m8 marcelo "
    "max norbert pablo paul pedro quincy robert shelby steph travis victor zac".split()
)
# Voices of espeak-ng are file names; those of other languages have the name of the primary subtag.
ESPEAK_VOICES = {
    **{"en": "en-us", "en-GB": "en", "zh": "cmn", "pt-BR": "pt-br", "es-419": "es-419", "es-MX": "es-419"},
    **{"fr-BE": "fr-be", "fr-CH": "fr-ch", "no": "nb"},
}


def espeak_voice(lang: str) -> str:
    """Name of the espeak-ng voice for `lang`, which may not exist."""
    primary = lang.split("-")[0]
    return ESPEAK_VOICES.get(lang) or ESPEAK_VOICES.get(primary) or primary.lower()
