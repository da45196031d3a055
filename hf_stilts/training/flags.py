"""Words of a command line as flags of `TrainingArguments`: how they are spelled, and which decide a result."""

from __future__ import annotations

from collections.abc import Sequence

# Flags that change what is printed, kept, or how fast rows are read, and no weight and no score.
_PRESENTATION = (
    *("output_dir", "disable_tqdm", "report_to", "run_name", "project", "trackio_space_id", "debug"),
    *("log_level", "log_level_replica", "log_on_each_node", "skip_memory_metrics", "include_num_input_tokens_seen"),
    *("save_total_limit", "save_on_each_node", "ddp_timeout", "eval_accumulation_steps", "torch_empty_cache_steps"),
    *("use_cpu", "push_to_hub", "enable_jit_checkpoint"),
)
_PRESENTATION_PREFIXES = ("logging_", "dataloader_num", "dataloader_p", "dataloader_multi", "hub_")


def words(flags: Sequence[str]) -> list[str]:
    """Flags as `TrainingArguments` spells them, each value a word of its own: `--save-steps=5` as `--save_steps 5`."""
    found: list[str] = []
    for flag in flags:
        name, equals, value = flag.partition("=") if flag.startswith("--") else (flag, "", "")
        found += [f"--{name[2:].replace('-', '_')}" if flag.startswith("--") else flag, *([value] if equals else [])]
    return found


def names(flags: Sequence[str]) -> list[str]:
    """Names of the flags that are given."""
    return [word[2:] for word in words(flags) if word.startswith("--")]


def deciding(flags: Sequence[str]) -> dict[str, tuple[str | float, ...]]:
    """Flags that decide a result, by name, with their values; equal numbers are equal however they are written.

    >>> deciding(["--learning-rate=3e-5", "--disable_tqdm", "true"]) == deciding(["--learning_rate", "0.00003"])
    True
    """
    found: dict[str, tuple[str | float, ...]] = {}
    name = None
    for word in words(flags):
        if word.startswith("--"):
            name = word[2:]
            found[name] = ()  # of a flag that is given twice the last one counts
        elif name is not None:
            found[name] += (_value(word),)
    return {
        name: values
        for name, values in found.items()
        if name not in _PRESENTATION and not name.startswith(_PRESENTATION_PREFIXES)
    }


def _value(word: str) -> str | float:
    try:
        return float(word)
    except ValueError:
        return word.lower() if word.lower() in ("true", "false") else word
