"""WikiANN: find persons, organisations and places in sentences of 172 Wikipedias (Rahimi et al. 2019).

PAN-X (`panx`) has the 48 of them that are XTREME-R's. Of the 176 on the Hub four are left out, since no code of ISO 639
is theirs alone: `be-x-old`, `eml`, `map-bms`, `simple`. The others have their own code, and not their Wikipedia's.
"""

from hf_stilts.task import Task

TASK = Task(
    kind="token-classification",
    dataset="unimelb-nlp/wikiann",
    config="{language}",
    configs={
        "bho": "bh", "cbk": "cbk-zam", "gsw": "als", "lzh": "zh-classical", "nan": "zh-min-nan", "nb": "no",
        "sgs": "bat-smg", "vro": "fiu-vro", "yue": "zh-yue",
    },
    revision="f0a3be6dc5564c0cc4150bb660144800a1f539d4",
    columns={"tokens": "tokens", "tags": "ner_tags"},
    labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
    languages=(
        "ace", "af", "am", "an", "ang", "ar", "arc", "arz", "as", "ast", "ay", "az", "ba", "bar", "be", "bg",
        "bho", "bn", "bo", "br", "bs", "ca", "cbk", "cdo", "ce", "ceb", "ckb", "co", "crh", "cs", "csb", "cv",
        "cy", "da", "de", "diq", "dv", "el", "en", "eo", "es", "et", "eu", "ext", "fa", "fi", "fo", "fr",
        "frr", "fur", "fy", "ga", "gan", "gd", "gl", "gn", "gsw", "gu", "hak", "he", "hi", "hr", "hsb", "hu",
        "hy", "ia", "id", "ig", "ilo", "io", "is", "it", "ja", "jbo", "jv", "ka", "kk", "km", "kn", "ko",
        "ksh", "ku", "ky", "la", "lb", "li", "lij", "lmo", "ln", "lt", "lv", "lzh", "mg", "mhr", "mi", "min",
        "mk", "ml", "mn", "mr", "ms", "mt", "mwl", "my", "mzn", "nan", "nap", "nb", "nds", "ne", "nl", "nn",
        "nov", "oc", "or", "os", "pa", "pdc", "pl", "pms", "pnb", "ps", "pt", "qu", "rm", "ro", "ru", "rw",
        "sa", "sah", "scn", "sco", "sd", "sgs", "sh", "si", "sk", "sl", "so", "sq", "sr", "su", "sv", "sw",
        "szl", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug", "uk", "ur", "uz", "vec", "vep", "vi",
        "vls", "vo", "vro", "wa", "war", "wuu", "xmf", "yi", "yo", "yue", "zea", "zh",
    ),
    metric="f1",
    paper="1902.00193",
)  # fmt: skip
