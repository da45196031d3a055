"""One checkpoint, opened: which files it holds is looked up once, and each of them is read once, whoever asks for it.

Body, heads, adapters, compatibility and transfer build on this object and look for no file themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import torch
import transformers
from huggingface_hub import hf_hub_download
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_utils import load_state_dict
from transformers.utils import (
    ADAPTER_CONFIG_NAME,
    ADAPTER_SAFE_WEIGHTS_NAME,
    CONFIG_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
)

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import Checkpoint, check_name, locate
from hf_stilts.hub.naming import HEAD_FILE, HEADS
from hf_stilts.hub.record import RECORD_FILE, Record
from hf_stilts.models.adapters import Adapter, read_adapter
from hf_stilts.models.untrusted import check_config, readable, shards_of

_MOST_ADAPTERS = 8  # upon each other; one is what trainings make


@dataclass(frozen=True, eq=False)
class OpenedCheckpoint:
    """A checkpoint whose files are known; what was read of it is kept, its weights apart.

    Attributes:
        found: where it is, at which commit, and which files it holds.
        above: names of the adapters that rest upon it, top first.
    """

    found: Checkpoint
    above: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Repository id or folder, as stock `from_pretrained` takes it."""
        return self.found.repo_id

    @property
    def commit(self) -> str | None:
        """Commit by which all its files are read; None for a folder."""
        return self.found.commit

    def has(self, file: str) -> bool:
        """Whether it holds a file, by its path in the repository; the Hub is not asked again."""
        if ".." in PurePosixPath(file).parts:  # heads have the names that a record gives them
            return False
        if self.found.files is None:
            return (Path(self.name) / file).is_file()
        return file in self.found.files

    def path(self, file: str) -> Path:
        """Where a file that it holds lies on this machine; fetched where it is not there yet."""
        if self.found.files is None:
            return Path(self.name) / file
        return Path(hf_hub_download(self.name, file, revision=self.commit))

    @cached_property
    def record(self) -> Record | None:
        """Its `stilts.json`; None where it has none."""
        if self.found.record is None and self.has(RECORD_FILE):
            return Record.from_json(self.path(RECORD_FILE).read_bytes())
        return self.found.record

    @cached_property
    def adapter(self) -> Adapter | None:
        """The adapter that it consists of; None where it holds a model.

        Raises:
            StiltsError: an adapter of another type than LoRA, or peft is not installed.
        """
        if not (self.has(ADAPTER_CONFIG_NAME) and self.has(ADAPTER_SAFE_WEIGHTS_NAME)):
            return None
        return read_adapter(self.name, self.path(ADAPTER_CONFIG_NAME).parent, self.path(ADAPTER_SAFE_WEIGHTS_NAME))

    @cached_property
    def base(self) -> OpenedCheckpoint | None:
        """Of an adapter: the checkpoint whose body it belongs to.

        Raises:
            StiltsError: there is none, or the adapter rests upon itself.
        """
        if self.adapter is None:
            return None
        base = open_checkpoint(self.adapter.base, self.adapter.config.revision)
        above = (*self.above, self.name)
        if base.name in above or len(above) >= _MOST_ADAPTERS:
            raise StiltsError(
                f"{above[0]} is an adapter that rests upon itself ({' on '.join((*above, base.name))}); a model is "
                "expected below it. Nothing was loaded. Use another checkpoint."
            )
        return replace(base, above=above)

    @cached_property
    def config(self) -> PretrainedConfig:
        """Configuration of its model; of an adapter that of its base. Copy it before you change it."""
        if self.base is not None:
            return self.base.config
        if self.has(CONFIG_NAME):
            check_config(self.path(CONFIG_NAME), self.name)
        with readable(self.name):
            # A configuration may ask for tuples, in which losses and hidden states have no names.
            config: PretrainedConfig = AutoConfig.from_pretrained(
                self.name, revision=self.commit, trust_remote_code=False, return_dict=True
            )
        return config

    @property
    def architecture(self) -> str:
        """Stock class that it was saved from; empty for an adapter, or where its configuration does not say."""
        return "" if self.adapter else (self.config.architectures or [""])[0]

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer beside it.

        Raises:
            StiltsError: it came without its tokenizer.
        """
        try:
            with readable(self.name):
                return AutoTokenizer.from_pretrained(self.name, revision=self.commit, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise StiltsError(
                f"{self.name} holds no tokenizer that transformers can read ({error}). Save one beside the model "
                "(tokenizer.save_pretrained), or pass processing_class=."
            ) from error

    def has_head(self, task: str) -> bool:
        """Whether it holds a head of that name beside its body."""
        return self.has(f"{HEADS}/{task}/{HEAD_FILE}")

    def head_config(self, task: str) -> PretrainedConfig:
        """Configuration of the stock model of a head."""
        file = self.path(f"{HEADS}/{task}/{CONFIG_NAME}")
        check_config(file, f"{self.name}, head {task}")
        with readable(self.name):
            config = AutoConfig.from_pretrained(file.parent, trust_remote_code=False, return_dict=True)
        config._name_or_path = self.name
        return config

    def load(self, model_class: Any, state: dict[str, torch.Tensor] | None = None) -> tuple[Any, set[str]]:
        """Model of a stock class with the weights of this checkpoint.

        Args:
            model_class: what `from_pretrained` is called on; no Auto class with `state`.
            state: weights that `state` has read; without them the files are read. The model shares their memory.

        Returns:
            The model, float32 and in evaluation mode, and the names of the weights that the checkpoint did not hold,
            which are random.
        """
        options: dict[str, Any] = {"config": self.config, "dtype": "float32", "output_loading_info": True}
        options["trust_remote_code"] = False  # else stock asks, of a class that only the checkpoint has
        if self.has(SAFE_WEIGHTS_INDEX_NAME):
            shards_of(self.path(SAFE_WEIGHTS_INDEX_NAME), self.name)
        # Stock loading warns of heads that are dropped or new, which is the point here.
        with quiet(), readable(self.name):
            if state is None:
                model, info = model_class.from_pretrained(self.name, revision=self.commit, **options)
            else:
                model, info = model_class.from_pretrained(None, state_dict=dict(state), **options)
        self.sign(model)
        return model.eval(), set(info["missing_keys"])

    def state(self) -> dict[str, torch.Tensor]:
        """All its weights by their names in the files, for where two models are made of them."""
        tensors: dict[str, torch.Tensor] = {}
        with readable(self.name):
            for file in self._weight_files():
                tensors.update(load_state_dict(self.path(file)))
        return tensors

    def sign(self, model: PreTrainedModel) -> None:
        """Note in a model's configuration where it comes from; transformers 5 keeps no commit. It is never saved."""
        model.config._name_or_path = self.name
        model.config._commit_hash = self.commit

    def _weight_files(self) -> list[str]:
        for whole, index in ((SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME), (WEIGHTS_NAME, WEIGHTS_INDEX_NAME)):
            if self.has(whole):
                return [whole]
            if self.has(index):
                return shards_of(self.path(index), self.name)
        raise StiltsError(
            f"{self.name} holds no weights; {SAFE_WEIGHTS_NAME} or {WEIGHTS_NAME} is expected. Name another checkpoint."
        )


def open_checkpoint(source: str | Checkpoint | OpenedCheckpoint, revision: str | None = None) -> OpenedCheckpoint:
    """Open a checkpoint; one that is open already stays as it is.

    Args:
        source: repository id or folder, or what `resolve` found by a name.
        revision: commit, tag or branch of a repository that is named by its id.

    Raises:
        StiltsError: there is no such folder or repository, or its weights are cut short.
    """
    if isinstance(source, OpenedCheckpoint):
        return source
    check_name(source if isinstance(source, str) else source.repo_id)
    return OpenedCheckpoint(locate(source, revision) if isinstance(source, str) else source)


@contextmanager
def quiet() -> Iterator[None]:
    """Let transformers say nothing but errors."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
