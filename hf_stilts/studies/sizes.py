"""How many rows data sets have, for plans that are made before any data are here."""

from __future__ import annotations

from collections.abc import Mapping

# Training rows, of each language where there are several; of masked language modelling, the windows that a mixture
# draws. As Phang et al. 2020 and Hu et al. 2020 give them; unverified where neither does. A plan needs no more.
TRAINING: Mapping[str, int] = {
    "anli_plus": 1_104_934, "ccg": 38_015, "commonsenseqa": 9_741, "copa": 400, "cosmosqa": 25_588,
    "fill_mask": 2_000_000, "hellaswag": 39_905, "mnli": 392_702, "panx": 20_000, "pawsx": 49_401, "qqp": 363_846,
    "siqa": 33_410, "squad_sentences": 87_599, "squad_translate_train": 87_599, "squad_v1": 87_599,
    "squad_v2": 130_319, "tydiqa": 3_696, "udpos": 21_253, "xnli": 392_702, "xnli_translate_train": 392_702,
}  # fmt: skip

# Rows to score in one language, on the average over languages; unverified and round where the number differs.
SCORED: Mapping[str, int] = {
    "bucc2018": 7_000, "mlqa": 7_000, "panx": 6_000, "pawsx": 2_000, "tatoeba": 1_000, "tydiqa": 564, "udpos": 2_500,
    "xcopa": 500, "xnli": 5_010, "xquad": 1_190,
}  # fmt: skip

# Bytes of the weights in single precision; unverified.
WEIGHTS: Mapping[str, int] = {
    "FacebookAI/xlm-roberta-base": 1_115_567_652,
    "FacebookAI/xlm-roberta-large": 2_244_825_320,
    "google-bert/bert-base-multilingual-cased": 714_290_682,
    "google/mt5-base": 2_329_703_309,
    "microsoft/mdeberta-v3-base": 1_115_000_000,
}
