# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Languages: canonical BCP-47 codes, rows of the language table, and the paper's lists.

Plain tables, because a checkpoint with custom code must load with transformers as the only dependency; a test compares
them with the `langcodes` library.
"""

import difflib
import re
from collections.abc import Sequence

UNDETERMINED = "und"

# ISO 639-2 and 639-3 codes (both the terminological and the bibliographic ones) of languages with a two-letter code.
_ALPHA3 = """
aar:aa abk:ab afr:af aka:ak alb:sq amh:am ara:ar arg:an arm:hy asm:as ava:av ave:ae aym:ay aze:az bak:ba bam:bm baq:eu
bel:be ben:bn bis:bi bod:bo bos:bs bre:br bul:bg bur:my cat:ca ces:cs cha:ch che:ce chi:zh chu:cu chv:cv cor:kw cos:co
cre:cr cym:cy cze:cs dan:da deu:de div:dv dut:nl dzo:dz ell:el eng:en epo:eo est:et eus:eu ewe:ee fao:fo fas:fa fij:fj
fin:fi fra:fr fre:fr fry:fy ful:ff geo:ka ger:de gla:gd gle:ga glg:gl glv:gv gre:el grn:gn guj:gu hat:ht hau:ha heb:he
her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig ice:is ido:io iii:ii iku:iu ile:ie ina:ia ind:id ipk:ik isl:is ita:it
jav:jv jpn:ja kal:kl kan:kn kas:ks kat:ka kau:kr kaz:kk khm:km kik:ki kin:rw kir:ky kom:kv kon:kg kor:ko kua:kj kur:ku
lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg mac:mk mah:mh mal:ml mao:mi mar:mr may:ms mkd:mk mlg:mg
mlt:mt mol:ro mon:mn mri:mi msa:ms mya:my nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne nld:nl nno:nn nob:nb nor:no nya:ny
oci:oc oji:oj ori:or orm:om oss:os pan:pa per:fa pli:pi pol:pl por:pt pus:ps que:qu roh:rm ron:ro rum:ro run:rn rus:ru
sag:sg san:sa sin:si slk:sk slo:sk slv:sl sme:se smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq srd:sc srp:sr ssw:ss
sun:su swa:sw swe:sv tah:ty tam:ta tat:tt tel:te tgk:tg tha:th tib:bo tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:ak
uig:ug ukr:uk urd:ur uzb:uz ven:ve vie:vi vol:vo wel:cy wln:wa wol:wo xho:xh yid:yi yor:yo zha:za zho:zh zul:zu
"""

# Withdrawn codes, and members of a macrolanguage that corpora use for all of it (as in CLDR).
_REPLACED = """
bh:bho bih:bho in:id iw:he ji:yi jw:jv mo:ro sh:sr-Latn hbs:sr-Latn tl:fil tgl:fil tw:ak fat:ak prs:fa-AF swc:sw-CD
cnr:sr-ME als:sq arb:ar ayr:ay azj:az bcl:bik cmn:zh diq:zza ekk:et fuc:ff gaz:om gug:gn ike:iu khk:mn kmr:ku knc:kr
kng:kg knn:kok kpv:kv lvs:lv mhr:chm npi:ne ojg:oj ory:or pbu:ps pes:fa plt:mg pnb:lah quz:qu rmy:rom src:sc swh:sw
uzn:uz ydd:yi zsm:ms zyb:za
"""

# Complete codes of corpora whose script and region are implied by the language.
_WHOLE_CODES = {"cmn-hans-cn": "zh", "yue-hant-hk": "yue", "zh-cmn": "zh", "zh-yue": "yue"}

_REGIONS = {"UK": "GB", "BU": "MM", "SU": "RU", "TP": "TL", "YU": "RS", "ZR": "CD"}

_NAMES = """
und Undetermined, af Afrikaans, am Amharic, ar Arabic, as Assamese, ast Asturian, az Azerbaijani, be Belarusian,
bg Bulgarian, bn Bengali, bs Bosnian, ca Catalan, ceb Cebuano, ckb Central Kurdish, co Corsican, cs Czech, cy Welsh,
da Danish, de German, el Greek, en English, eo Esperanto, es Spanish, et Estonian, eu Basque, fa Persian, ff Fula,
fi Finnish, fil Filipino, fr French, fy Western Frisian, ga Irish, gd Scottish Gaelic, gl Galician, gu Gujarati,
ha Hausa, haw Hawaiian, he Hebrew, hi Hindi, hmn Hmong, hr Croatian, ht Haitian Creole, hu Hungarian, hy Armenian,
id Indonesian, ig Igbo, is Icelandic, it Italian, ja Japanese, jv Javanese, ka Georgian, kam Kamba, kea Kabuverdianu,
kk Kazakh, km Khmer, kn Kannada, ko Korean, ku Kurdish, ky Kyrgyz, la Latin, lb Luxembourgish, lg Ganda, ln Lingala,
lo Lao, lt Lithuanian, luo Luo, lv Latvian, mdw Mboshi, mg Malagasy, mi Maori, mk Macedonian, ml Malayalam,
mn Mongolian, mr Marathi, ms Malay, mt Maltese, my Burmese, nb Norwegian Bokmal, ne Nepali, nl Dutch, no Norwegian,
nso Northern Sotho, ny Nyanja, oc Occitan, om Oromo, or Odia, pa Punjabi, pl Polish, ps Pashto, pt Portuguese,
ro Romanian, ru Russian, sd Sindhi, si Sinhala, sk Slovak, sl Slovenian, sm Samoan, sn Shona, so Somali, sq Albanian,
sr Serbian, st Southern Sotho, su Sundanese, sv Swedish, sw Swahili, ta Tamil, te Telugu, tg Tajik, th Thai,
tpi Tok Pisin, tr Turkish, uk Ukrainian, umb Umbundu, ur Urdu, uz Uzbek, vi Vietnamese, wo Wolof, xh Xhosa,
yi Yiddish, yo Yoruba, yue Cantonese, zh Chinese, zu Zulu
"""

# Further names: other languages, and other English names in common use. Not in `LANGUAGE_NAMES`, which also tells
# language codes (`text_fr`) from other words (`text_to`) in the names of columns.
_OTHER_NAMES = """
aa Afar, ab Abkhazian, ak Akan, an Aragonese, av Avaric, ay Aymara, ba Bashkir, bho Bhojpuri, bm Bambara, bo Tibetan,
br Breton, ce Chechen, ch Chamorro, chr Cherokee, cv Chuvash, dv Dhivehi, dz Dzongkha, ee Ewe, fj Fijian, fo Faroese,
fon Fon, fur Friulian, gn Guarani, gsw Swiss German, gv Manx, hsb Upper Sorbian, ia Interlingua, ii Sichuan Yi,
ilo Iloko, io Ido, iu Inuktitut, kab Kabyle, kg Kongo, ki Kikuyu, kl Kalaallisut, kr Kanuri, ks Kashmiri, kv Komi,
kw Cornish, li Limburgish, lu Luba-Katanga, mai Maithili, mh Marshallese, mni Manipuri, na Nauru, nn Norwegian Nynorsk,
nv Navajo, os Ossetic, pap Papiamento, qu Quechua, rm Romansh, rn Rundi, rw Kinyarwanda, sa Sanskrit, sah Yakut,
sat Santali, sc Sardinian, scn Sicilian, se Northern Sami, sg Sango, ss Swati, szl Silesian, ti Tigrinya, tk Turkmen,
tn Tswana, to Tongan, ts Tsonga, tt Tatar, ty Tahitian, ug Uyghur, ve Venda, vec Venetian, vo Volapuk, wa Walloon,
war Waray, za Zhuang,
az Azeri, bn Bangla, ca Valencian, dv Maldivian, el Modern Greek, es Castilian, fa Farsi, ff Fulah, fil Tagalog,
fil Pilipino, fy Frisian, ga Gaelic, he Modern Hebrew, ht Haitian, hu Magyar, ii Nuosu, ki Gikuyu, kk Qazaq,
kl Greenlandic, ku Kurmanji, ky Kirghiz, ky Kirgiz, lb Letzeburgesch, lg Luganda, li Limburgan, my Myanmar,
my Myanmar language, nb Bokmal, nb Norwegian Bokm\u00e5l, nl Flemish, nn Nynorsk, nso Sepedi, nso Pedi, ny Chichewa,
ny Chewa, om Afaan Oromo, or Oriya, pa Panjabi, ps Pushto, rn Kirundi, ro Moldavian, ro Moldovan, si Sinhalese,
ss Swazi, st Sesotho, sw Kiswahili, tn Setswana, ug Uighur, vo Volap\u00fck, yue Yue Chinese, zh Mandarin,
zh Mandarin Chinese
"""


# language - script - region - variants - x - private use, lower case
_TAG = re.compile(
    r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?((?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)"
    r"((?:-x(?:-[a-z0-9]{1,8})+)?)",
    flags=re.ASCII,
)
# Codes that ISO 639 leaves to private use.
_PRIVATE = re.compile(r"q[a-t][a-z]")


def _parse_pairs(table: str) -> dict[str, str]:
    return dict(pair.split(":", 1) for pair in table.split())


_LANGUAGES = _parse_pairs(_ALPHA3) | _parse_pairs(_REPLACED)
_TWO_LETTER = frozenset(_parse_pairs(_ALPHA3).values())


def _parse_names(table: str) -> list[tuple[str, str]]:
    entries = (entry.strip().partition(" ") for entry in table.replace("\n", " ").split(","))
    return [(code, name) for code, _, name in entries]


LANGUAGE_NAMES: dict[str, str] = dict(_parse_names(_NAMES))
_CODES_BY_NAME = {name.lower(): code for code, name in (*_parse_names(_OTHER_NAMES), *LANGUAGE_NAMES.items())}


def canonical_language(code: str) -> str:
    """Canonical spelling of a language code.

    Args:
        code: BCP-47 or ISO 639 in any case, with `-` or `_`, a corpus's code (`pt_BR`, `iw`, `cmn_hans_cn`,
            `zho_Hans`), or an English name of a language (`Spanish`, `haitian creole`).

    Returns:
        canonical BCP-47: the two-letter code where one exists, the macrolanguage for its main member; script, region,
        variants and private use are kept where given (`pt-BR`, `zh-Hans`, `qaa-x-name`).

    Raises:
        ValueError: not a language code; the message lists the most similar ones.
    """
    if not isinstance(code, str):
        raise ValueError(f"a language code must be a str such as 'en', got {type(code).__name__} {code!r}.")
    name = re.sub(r"[\s_]+", " ", code.strip()).lower()
    if name in _CODES_BY_NAME:
        return _CODES_BY_NAME[name]
    tag = re.sub(r"[-_]+", "-", code.strip()).lower()
    if tag in _WHOLE_CODES:
        return _WHOLE_CODES[tag]
    match = _TAG.fullmatch(tag)
    if match is None or (len(match[1]) == 2 and match[1] not in _TWO_LETTER and match[1] not in _LANGUAGES):
        raise ValueError(f"unknown language {code!r}; {_describe_nearest(code, tuple(LANGUAGE_NAMES))}")
    language, implied_script, implied_region = (_LANGUAGES.get(match[1], match[1]).split("-") + ["", ""])[:3]
    if len(implied_script) == 2:  # "fa-AF": a region and no script
        implied_script, implied_region = "", implied_script
    script = match[2].title() if match[2] else implied_script
    region = match[3].upper() if match[3] else implied_region
    parts = [language, script, _REGIONS.get(region, region), match[4].lstrip("-"), match[5].lstrip("-")]
    return "-".join(part for part in parts if part)


def language_index(code: str, languages: Sequence[str]) -> int:
    """Row of a language in a model's language table.

    Args:
        code: any spelling that `canonical_language` accepts.
        languages: the model's canonical codes (`config.languages`).

    Returns:
        the row of the code itself, else of the same language without region or without script and region.

    Raises:
        ValueError: none of these is in `languages`; the message lists the most similar codes that are.

    Choice: `nb` and `no` are interchangeable, since corpora use either code for the same language.
    """
    try:
        canonical = canonical_language(code)
    except ValueError:
        raise ValueError(f"unknown language {code!r}; {_describe_nearest(str(code), languages)}") from None
    for candidate in _fallbacks(canonical):
        if candidate in languages:
            return list(languages).index(candidate)
    spelled = "" if canonical == code else f" ({canonical})"
    raise ValueError(f"the model does not support language {code!r}{spelled}; {_describe_nearest(code, languages)}")


def same_language(first: str, second: str) -> bool:
    """Whether both codes denote the same language, ignoring script and region."""
    return _primary(first) == _primary(second)


def _primary(code: str) -> str:
    """The language of a code; all of a private code such as `qaa-x-name`, which has no other meaning."""
    canonical = canonical_language(code)
    language = canonical.split("-")[0]
    return canonical if _PRIVATE.fullmatch(language) else language


def describe_languages(languages: Sequence[str]) -> str:
    """All languages of a model with their names (`und` excepted), for an error message."""
    known = [code for code in languages if code != UNDETERMINED]
    return (
        ", ".join(f"{code} ({LANGUAGE_NAMES[code]})" if code in LANGUAGE_NAMES else code for code in known) or "none"
    )


def _fallbacks(canonical: str) -> list[str]:
    """The code, then with successively fewer subtags, then its interchangeable code."""
    parts = canonical.split("-")
    if _PRIVATE.fullmatch(parts[0]):
        return [canonical]
    candidates = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    if len(parts) > 2 and len(parts[1]) == 4:  # language-script-region: the region may matter more than the script
        candidates.insert(-1, f"{parts[0]}-{parts[2]}")
    stand_in = {"nb": "no", "no": "nb"}.get(parts[0])
    return candidates + ([stand_in] if stand_in else [])


# A message names all languages of a model with up to so many.
_MAX_LISTED = 21


def _describe_nearest(code: str, languages: Sequence[str], count: int = 5) -> str:
    """All languages of a model that has few, else the known codes most similar to `code`, for an error message."""
    if len(languages) <= _MAX_LISTED:
        return f"languages of the model: {describe_languages(languages)}"
    known = {language.lower(): language for language in languages}
    known |= {LANGUAGE_NAMES[language].lower(): language for language in languages if language in LANGUAGE_NAMES}
    wanted = code.strip().lower().replace("_", "-")
    keys = difflib.get_close_matches(wanted, known, n=2 * count, cutoff=0.5)
    keys += difflib.get_close_matches(wanted.split("-")[0], known, n=count, cutoff=0.4)
    nearest = list(dict.fromkeys(known[key] for key in keys))[:count] or list(languages)[:count]
    shown = ", ".join(
        f"{language} ({LANGUAGE_NAMES[language]})" if language in LANGUAGE_NAMES else language for language in nearest
    )
    return f"nearest of the {len(languages)} known codes: {shown}"


# mC4, without its transliterated variants (`ru-Latn`, ...). Paper: section 3.1, 101 languages.
MC4_CODES = tuple(
    """
af am ar az be bg bn ca ceb co cs cy da de el en eo es et eu fa fi fil fr fy ga gd gl gu ha haw hi hmn ht hu hy id ig
is it iw ja jv ka kk km kn ko ku ky la lb lo lt lv mg mi mk ml mn mr ms mt my ne nl no ny pa pl ps pt ro ru sd si sk
sl sm sn so sq sr st su sv sw ta te tg th tr uk ur uz vi xh yi yo zh zu
""".split()
)
# Names of the configurations of FLEURS. Paper: appendix A.1 counts 101 languages; English is the 102nd here.
FLEURS_CODES = tuple(
    """
af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq cmn_hans_cn cs_cz cy_gb da_dk de_de
el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi fil_ph fr_fr ga_ie gl_es gu_in ha_ng he_il hi_in hr_hr hu_hu hy_am id_id
ig_ng is_is it_it ja_jp jv_id ka_ge kam_ke kea_cv kk_kz km_kh kn_in ko_kr ky_kg lb_lu lg_ug ln_cd lo_la lt_lt luo_ke
lv_lv mi_nz mk_mk ml_in mn_mn mr_in ms_my mt_mt my_mm nb_no ne_np nl_nl nso_za ny_mw oc_fr om_et or_in pa_in pl_pl
ps_af pt_br ro_ro ru_ru sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se sw_ke ta_in te_in tg_tj th_th tr_tr uk_ua umb_ao
ur_pk uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za
""".split()
)
VOXPOPULI_CODES = tuple("bg cs da de el en es et fi fr hr hu it lt lv mt nl pl pt ro sk sl sv".split())
# Choice: the paper counts 51 languages of unlabeled speech and names none; of Common Voice we take CoVoST 2's 22.
COMMON_VOICE_CODES = tuple("ar ca cy de en es et fa fr id it ja lv mn nl pt ru sl sv-SE ta tr zh-CN".split())
