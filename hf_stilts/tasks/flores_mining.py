"""FLORES-200, mined: which of 1,012 sentences translates which English one, in 203 languages (NLLB Team 2022)."""

from hf_stilts.task import Task

TASK = Task(
    kind="bitext-mining",
    dataset="flores200_mining",  # hf-stilts data build flores_mining: the copy on the Hub is closed
    config="{flores}",
    metric="f1",
    languages=(
        "ace", "ace_Arab", "acm", "acq", "aeb", "af", "ajp", "ak", "am", "apc", "ar", "ar_Latn", "ars", "ary",
        "arz", "as", "ast", "awa", "ay", "az", "azb", "ba", "ban", "be", "bem", "bg", "bho", "bjn", "bjn_Arab",
        "bm", "bn", "bo", "bs", "bug", "ca", "ceb", "cjk", "ckb", "crh", "cs", "cy", "da", "de", "dik", "dyu",
        "dz", "ee", "el", "eo", "es", "et", "eu", "fa", "fi", "fj", "fo", "fon", "fr", "fur", "fuv", "ga",
        "gd", "gl", "gn", "gu", "ha", "he", "hi", "hne", "hr", "ht", "hu", "hy", "id", "ig", "ilo", "is", "it",
        "ja", "jv", "ka", "kab", "kac", "kam", "kbp", "kea", "kg", "ki", "kk", "km", "kmb", "kn", "ko", "kr",
        "kr_Arab", "ks", "ks_Deva", "ku", "ky", "lb", "lg", "li", "lij", "lmo", "ln", "lo", "lt", "ltg", "lua",
        "luo", "lus", "lv", "mag", "mai", "mg", "mi", "min", "min_Arab", "mk", "ml", "mn", "mni", "mos", "mr",
        "ms", "mt", "my", "nb", "ne", "nl", "nn", "nso", "nus", "ny", "oc", "om", "or", "pa", "pag", "pap",
        "pl", "prs", "ps", "pt", "qu", "rn", "ro", "ru", "rw", "sa", "sat", "sc", "scn", "sd", "sg", "shn",
        "si", "sk", "sl", "sm", "sn", "so", "sq", "sr", "ss", "st", "su", "sv", "sw", "szl", "ta", "taq",
        "taq_Tfng", "te", "tg", "th", "ti", "tk", "tl", "tn", "tpi", "tr", "ts", "tt", "tum", "tw", "tzm", "ug",
        "uk", "umb", "ur", "uz", "vec", "vi", "war", "wo", "xh", "yi", "yo", "yue", "zh", "zh_Hant", "zu",
    ),
    license="cc-by-sa-4.0",
    paper="2207.04672",
)  # fmt: skip
