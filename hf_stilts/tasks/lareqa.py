"""LAReQA: find the sentences, in any of 11 languages, that answer a question; 11 right ones each (Roy et al. 2020)."""

from hf_stilts.task import Task

TASK = Task(
    kind="answer-retrieval",
    dataset="lareqa",  # hf-stilts data build lareqa: the copy of XQuAD-R on the Hub has no sentence breaks
    config="{language}",
    languages=("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
    train=("squad_sentences",),
    metric="map@20",
    license="cc-by-sa-4.0",
    paper="2004.05484",
)
