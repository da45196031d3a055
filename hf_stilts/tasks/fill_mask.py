"""Continued masked language modelling: guess masked words of Wikipedia in 40 languages (Phang et al. 2020).

The paper took Wikipedia of 14 April 2020; this snapshot is the newest that the Hub has as Parquet. Text of your own
goes in its place with `hf-stilts intermediate ... fill_mask --text DIR`.
"""

from hf_stilts.languages import LANGUAGES
from hf_stilts.task import Task

TASK = Task(
    kind="fill-mask",
    dataset="wikimedia/wikipedia",
    config="20231101.{language}",
    revision="b04c8d1ceb2f5cd4588862100d08de323dccfbaa",
    languages=tuple(code for code, language in LANGUAGES.items() if language.xtreme),
    metric="accuracy",
    license="cc-by-sa-3.0",
    paper="2005.13013",
)
