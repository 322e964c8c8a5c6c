# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Small annotations and tables of each format that is read, whose damaged copies are tested."""

TEXTS = {
    "a.srt": """1
00:00:00,000 --> 00:00:00,700
hola que tal

2
00:00:00,800 --> 00:00:01,365
muy bien
""",
    "a.vtt": """WEBVTT

00:00.000 --> 00:00.700
<v Ana>hola <00:00.300>que tal

00:00.800 --> 00:01.365
muy bien
""",
    "a.txt": """hola que tal
muy bien
""",
    "all.tsv": """audio	text	text_en	start	end	speaker
a.wav	hola	hello	0	0.7	ana
a.wav	bien	well	0.8	1.3	ana
""",
    "all.csv": """audio;text;lang
a.wav;"hola; que ""tal""\";es
a.wav;muy bien;es
""",
    "all.jsonl": """{"audio": "a.wav", "text": "hola", "lang": "es"}
{"audio": "a.wav", "text": "bien", "lang": "es"}
""",
    "a.TextGrid": """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "es"
        xmin = 0
        xmax = 1.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.7
            text = "hola que tal"
        intervals [2]:
            xmin = 0.7
            xmax = 1.5
            text = "muy bien"
""",
    "a.eaf": """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="700"/>
</TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="utterance" TIER_ID="es" PARTICIPANT="Ana">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>hola que tal</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER>
<TIER LINGUISTIC_TYPE_REF="translation" PARENT_REF="es" TIER_ID="en">
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>hello</ANNOTATION_VALUE>
</REF_ANNOTATION></ANNOTATION>
</TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="utterance" TIME_ALIGNABLE="true"/>
<LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Association" LINGUISTIC_TYPE_ID="translation" TIME_ALIGNABLE="false"/>
<CONSTRAINT DESCRIPTION="" STEREOTYPE="Symbolic_Association"/>
</ANNOTATION_DOCUMENT>
""",
}
