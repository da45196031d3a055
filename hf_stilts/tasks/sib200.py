"""SIB-200: the topic of a sentence, one of seven, in 205 languages (Adelani et al. 2024)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="mteb/sib200",  # as Davlan/sib200, the publisher's
    config="{flores}",
    revision="a74d7350ea12af010cfb1c21e34f1f81fd2e615b",
    columns={"text": "text", "label": "category"},
    labels=("entertainment", "geography", "health", "politics", "science/technology", "sports", "travel"),
    languages=(
        "ace", "ace_Arab", "acm", "acq", "aeb", "af", "ajp", "ak", "am", "apc", "ar", "ar_Latn", "ars", "ary",
        "arz", "as", "ast", "awa", "ay", "az", "azb", "ba", "ban", "be", "bem", "bg", "bho", "bjn", "bjn_Arab",
        "bm", "bn", "bo", "bs", "bug", "ca", "ceb", "cjk", "ckb", "crh", "cs", "cy", "da", "de", "dik", "dyu",
        "dz", "ee", "el", "en", "eo", "es", "et", "eu", "fa", "fi", "fj", "fo", "fon", "fr", "fur", "fuv", "ga",
        "gd", "gl", "gn", "gu", "ha", "he", "hi", "hne", "hr", "ht", "hu", "hy", "id", "ig", "ilo", "is", "it",
        "ja", "jv", "ka", "kab", "kac", "kam", "kbp", "kea", "kg", "ki", "kk", "km", "kmb", "kn", "ko", "kr",
        "kr_Arab", "ks", "ks_Deva", "ku", "ky", "lb", "lg", "li", "lij", "lmo", "ln", "lo", "lt", "ltg", "lua",
        "luo", "lus", "lv", "mag", "mai", "mg", "mi", "min", "min_Arab", "mk", "ml", "mn", "mni", "mos", "mr",
        "ms", "mt", "my", "nb", "ne", "nl", "nn", "nqo", "nso", "nus", "ny", "oc", "om", "or", "pa", "pag",
        "pap", "pl", "prs", "ps", "pt", "qu", "rn", "ro", "ru", "rw", "sa", "sat", "sc", "scn", "sd", "sg",
        "shn", "si", "sk", "sl", "sm", "sn", "so", "sq", "sr", "ss", "st", "su", "sv", "sw", "szl", "ta", "taq",
        "taq_Tfng", "te", "tg", "th", "ti", "tk", "tl", "tn", "tpi", "tr", "ts", "tt", "tum", "tw", "tzm", "ug",
        "uk", "umb", "ur", "uz", "vec", "vi", "war", "wo", "xh", "yi", "yo", "yue", "zh", "zh_Hant", "zu",
    ),
    license="cc-by-sa-4.0",
    paper="2309.07445",
)  # fmt: skip
