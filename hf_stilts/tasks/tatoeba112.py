"""Tatoeba, all of the publisher's test set: `tatoeba` in 112 languages (Artetxe and Schwenk 2019)."""

from hf_stilts.task import Task

TASK = Task(
    kind="bitext-retrieval",
    dataset="mteb/tatoeba-bitext-mining",
    config="{iso3}-eng",
    revision="69e8f12da6e31d59addadda9a9c8a2e601a0e282",
    columns={"source": "sentence1", "target": "sentence2"},
    languages=(
        "af", "am", "ang", "ar", "arq", "arz", "ast", "awa", "az", "be", "ber", "bg", "bn", "br", "bs", "ca", "cbk",
        "ceb", "ch", "cs", "csb", "cy", "da", "de", "dsb", "dtp", "el", "eo", "es", "et", "eu", "fa", "fi", "fo", "fr",
        "fy", "ga", "gd", "gl", "gsw", "he", "hi", "hr", "hsb", "hu", "hy", "ia", "id", "ie", "io", "is", "it", "ja",
        "jv", "ka", "kab", "kk", "km", "ko", "ku", "kw", "kzj", "la", "lfn", "lt", "lvs", "max", "mhr", "mk", "ml",
        "mn", "mr", "ms", "nb", "nds", "nl", "nn", "nov", "oc", "orv", "pam", "pl", "pms", "pt", "ro", "ru", "sk",
        "sl", "sq", "sr", "sv", "sw", "swg", "ta", "te", "th", "tk", "tl", "tr", "tt", "tzl", "ug", "uk", "ur", "uz",
        "vi", "war", "wuu", "xh", "yi", "yue", "zh",
    ),
    license="cc-by-2.0",
    paper="1812.10464",
)  # fmt: skip
