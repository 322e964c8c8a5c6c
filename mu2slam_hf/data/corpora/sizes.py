# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Declared sizes of public corpora by their own codes of languages, each with where it is written."""

from mu2slam_hf.data.corpora.reader import language_aliases


def _parse(table: str) -> dict[str, float]:
    """`code:number` pairs, by canonical language."""
    pairs = dict(entry.split(":") for entry in table.split())
    canonical = language_aliases(pairs)
    return {canonical[code]: float(number) for code, number in pairs.items()}


VOXPOPULI_SOURCE = "README of facebookresearch/voxpopuli"
VOXPOPULI_ASR_HOURS = _parse(
    """
en:543 de:282 fr:211 es:166 pl:111 it:91 ro:89 hu:63 cs:62 nl:53 fi:27 hr:43 sk:35 sl:10 et:3 lt:2
"""
)
VOXPOPULI_UNLABELLED_HOURS = _parse(
    """
en:24100 de:23200 fr:22800 es:21400 pl:21200 it:21900 ro:17900 hu:17700 cs:18700 nl:19000 fi:14200 hr:8100 sk:12100
sl:11300 et:10600 lt:14400 pt:17500 bg:17600 el:17700 lv:13100 mt:9100 sv:16300 da:13600
"""
)
MLS_SOURCE = "card of facebook/multilingual_librispeech, train"
MLS_HOURS = _parse(
    """
english:44659.74 german:1966.51 dutch:1554.24 french:1076.58 spanish:917.68 italian:247.38 portuguese:160.96
polish:103.65
"""
)
COMMON_VOICE_SOURCE = "loader of common_voice (release 6.1) in huggingface/datasets, all recordings"
COMMON_VOICE_HOURS = _parse(
    """
ar:77 ca:748 cy:124 de:836 en:2181 es:579 et:27 fa:321 fr:682 id:17 it:199 ja:5 lv:7 mn:17 nl:63 pt:63 ru:130 sl:7
sv-SE:15 ta:24 tr:22 zh-CN:78
"""
)
COVOST2_SOURCE = "Paper: Tables 7 and 8, train"
COVOST2_HOURS = _parse(
    """
en:430 fr:264 de:184 es:113 ca:136 fa:49 it:44 ru:18 pt:10 zh-CN:10 tr:4 ar:2 et:3 mn:3 nl:7 sv-SE:2 lv:2 sl:2 ta:2
ja:2 id:2 cy:2
"""
)
MC4_SOURCE = "TensorFlow Datasets catalogue, c4/multilingual 3.0.1, train"
MC4_DOCUMENTS = {
    lang: int(number)
    for lang, number in _parse(
        """
af:2152243 am:162870 ar:53256040 az:5285720 be:1742030 bg:23409799 bn:7444098 ca:14492899 ceb:351894 co:494913
cs:60149680 cy:4131915 da:28777331 de:397006993 el:41753736 en:3079081989 eo:500048 es:416057992 et:6941360 eu:1555887
fa:53927287 fi:26842650 fil:2102197 fr:332674575 fy:1104359 ga:465670 gd:322404 gl:4549465 gu:631600 ha:247479
haw:84312 hi:18507273 hmn:295549 ht:269174 hu:36819508 hy:2401949 id:69625551 ig:92909 is:2069293 it:186404508
iw:12334609 ja:87337884 jv:581528 ka:2295551 kk:2392401 km:756612 kn:1056849 ko:15602947 ku:298389 ky:995539
la:1674463 lb:2740336 lo:141776 lt:11274295 lv:6414223 mg:345040 mi:101169 mk:2058417 ml:2044981 mn:2054674
mr:7774331 ms:13180647 mt:2261303 my:813530 ne:2942785 nl:96210458 no:25402139 ny:174696 pa:363399 pl:126164277
ps:335452 pt:169239084 ro:45738857 ru:755585265 sd:743057 si:534759 sk:17729698 sl:8499456 sm:98467 sn:326392
so:893012 sq:4113147 sr:3398483 st:66837 su:280719 sv:48570979 sw:985654 ta:3514561 te:1188243 tg:1280757 th:15463131
tr:87595290 uk:38556465 ur:1950124 uz:796416 vi:78587159 xh:69048 yi:143708 yo:46214 zh:54542308 zu:555458
"""
    ).items()
}
