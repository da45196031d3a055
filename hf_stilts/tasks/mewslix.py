"""Mewsli-X: find the entity that a mention in the news means among a million of 50 languages (Ruder et al. 2021)."""

from hf_stilts.task import Task

TASK = Task(
    kind="answer-retrieval",
    dataset="mewslix",  # hf-stilts data build mewslix: made by a script of its publisher, not on the Hub
    config="{language}",
    candidates="candidates",
    languages=("ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk"),
    train=("mewslix_pairs",),
    metric="map@20",
    license="cc-by-2.5",
    paper="2104.07412",
)
