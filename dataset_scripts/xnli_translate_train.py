"""XNLI's training data in 15 languages: what the converter `xnli` writes, under the intermediate task's name."""

from hf_stilts.dataset_scripts.xnli import CITATION, FILES, SOURCE, convert

__all__ = ["CITATION", "FILES", "SOURCE", "convert"]
