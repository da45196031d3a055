"""Hands an encoder from one phase to the next: the body comes along, the head is new, and it says which is which."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from huggingface_hub import try_to_load_from_cache
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import ADAPTER_CONFIG_NAME

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import check_name, resolve
from hf_stilts.hub.record import ParentModel
from hf_stilts.kinds import Kind, kind_for
from hf_stilts.models.adapters import find_adapter
from hf_stilts.models.compatibility import check_start
from hf_stilts.task import Task, load_task

logger = logging.getLogger(__name__)

# Classes whose pooler was trained as a part of the head: nothing above their last layer travels.
_HEADED = ("SequenceClassification", "MultipleChoice", "TokenClassification", "QuestionAnswering")


@dataclass(frozen=True)
class HandOver:
    """What one hand-over carried.

    Attributes:
        source: repository id or folder that the body comes from.
        revision: commit of that repository; `None` for a folder.
        carried: number of tensors that came along.
        fresh: names of the parameters that start anew.
    """

    source: str
    revision: str | None
    carried: int
    fresh: tuple[str, ...]

    @property
    def parent(self) -> ParentModel:
        """Where the body came from, for the record: a folder by its last part only, so that no path leaves here."""
        if Path(self.source).is_dir():
            return ParentModel(id=Path(self.source).name, published=False)
        return ParentModel(id=self.source, commit=self.revision)

    def __str__(self) -> str:
        """Say it in one line."""
        at = f"@{self.revision[:8]}" if self.revision else ""
        return (
            f"{self.carried} tensors of the body come from {self.source}{at}; new: {', '.join(_modules(self.fresh))}."
        )


def load_intermediate(
    name: str,
    task: str | Task | None = None,
    *,
    base: str | None = None,
    namespace: str | None = None,
    seed: int | None = None,
) -> PreTrainedModel:
    """Encoder of a published intermediate checkpoint, by name.

    Args:
        name: `"mnli"`, `"mnli@step-2000"`, a repository id (`"org/model"`, `"org/model@revision"`) or a folder.
        task: `None` gives the body alone, as `AutoModel` does; a target task gives the stock model class of its kind
            with this body and a fresh head whose labels bear the task's names.
        base: public model that the checkpoint must descend from, where `name` is a task's.
        namespace: user or organisation that published it; default: `HF_STILTS_NAMESPACE`, then yourself.
        seed: the run's seed, where several were published.

    Returns:
        A stock transformers model in float32, in evaluation mode; `model.config._name_or_path` names its source,
        so `AutoTokenizer.from_pretrained(model.config._name_or_path)` gives its tokenizer.

    Raises:
        StiltsError: nothing of that name (the message lists what there is and the nearest); or a checkpoint of another
            architecture, size or tokenizer than `base`.
    """
    found = resolve(name, base=base, namespace=namespace, seed=seed)
    check_start(found, base)
    if task is None:
        return load_body(found.repo_id, found.commit)[0]
    model, handover = with_fresh_head(found.repo_id, load_task(task), revision=found.commit)
    logger.info("%s", handover)
    return model


def load_body(source: str, revision: str | None = None) -> tuple[PreTrainedModel, set[str]]:
    """Body of any checkpoint, and the names of its parameters that the checkpoint did not hold.

    An adapter is merged into the body that it was trained on.

    Args:
        source: repository id or folder.
        revision: commit, tag or branch.
    """
    check_name(source)
    with _quiet():  # stock loading warns of the dropped head, which is the point here
        if adapter := find_adapter(source, revision):
            model, missing = load_body(adapter.base, adapter.config.revision)
            model = adapter.merged_into(model)
            model.config._name_or_path = source
            return _at_commit(model, source, revision).eval(), missing
        model, info = AutoModel.from_pretrained(source, revision=revision, dtype="float32", output_loading_info=True)
    return _at_commit(model, source, revision).eval(), set(info["missing_keys"])


def match_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a model pad with what its tokenizer pads with, and say so; changed in place.

    Some published configurations name another token (intfloat/multilingual-e5-small: 0, which is `<s>`): torch then
    freezes that token's embedding, the one under every classification head, and the padding's is trained.
    """
    config, padding = model.config, tokenizer.pad_token_id
    if padding is None or config.pad_token_id == padding:
        return
    if config.pad_token_id is not None:
        logger.warning(
            "The configuration pads with token %s, the tokenizer with %s (%s): the tokenizer's is taken.",
            *(config.pad_token_id, padding, tokenizer.pad_token),
        )
    config.pad_token_id = padding
    words = model.get_input_embeddings()
    if isinstance(words, torch.nn.Embedding) and words.padding_idx is not None:
        words.padding_idx = padding


def load_tokenizer(source: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Tokenizer that lies beside a checkpoint.

    Raises:
        StiltsError: the checkpoint came without its tokenizer.
    """
    try:
        return AutoTokenizer.from_pretrained(source, revision=revision)
    except (OSError, ValueError) as error:
        raise StiltsError(
            f"{source} holds no tokenizer that transformers can read ({error}). Save one beside the model "
            "(tokenizer.save_pretrained), or pass processing_class=."
        ) from error


def with_fresh_head(
    source: str,
    task: Task,
    *,
    revision: str | None = None,
    loaded: tuple[PreTrainedModel, set[str]] | None = None,
) -> tuple[PreTrainedModel, HandOver]:
    """Stock model for `task` whose body comes from `source` and whose head is new.

    The only door between two phases. A pooler that was trained under a task's head counts as part of that head; the
    pooler of a public pre-trained model travels, and so does what its masked-LM head and the new one share in stock
    transformers (ModernBERT's prediction layer). A masked-LM head is kept where `task` is masked language modelling,
    because that continues the same objective (Phang et al. 2020, section 2, "continuing MLM").

    Args:
        source: repository id or folder of a checkpoint with any head or none.
        task: what the head is for; its labels name the classes in the model's configuration.
        revision: commit of `source`.
        loaded: what `load_body` gives for them, where it was called already.

    Returns:
        The model in float32 and what came along. The head is drawn from torch's generator: seed it before.

    Raises:
        StiltsError: another architecture, or a part of the body that `source` does not hold: a tagger of mT5 has no
            decoder, through which stock mT5 classifies and answers.
    """
    kind = kind_for(task)
    if task.text_to_text:
        model, handover = _whole(source, revision, kind)
        smallest = min(dict(model.named_parameters()).items(), key=lambda named: named[1].numel())[0]
        model.untrained_head = (smallest,), _digest(model, (smallest,))  # a training moves every weight, this one too
        return model, handover
    body, missing = loaded or load_body(source, revision)
    config = copy.deepcopy(body.config)
    trained_as = (config.architectures or [""])[0]
    config.update(kind.head_config(task))
    if task.declaration.pretraining and (of_mixture := _head_of_mixture(source, task, revision)):
        return of_mixture, HandOver(source, _commit(source, revision), len(of_mixture.state_dict()), ())
    headed = any(head in trained_as for head in _HEADED) or find_adapter(source, revision) is not None
    if task.declaration.pretraining and not headed:
        return _continue_pretrained(source, revision, config, kind)
    model = kind.model_class(config)(config)
    body_state = {
        name: tensor
        for name, tensor in body.state_dict().items()
        if name not in missing and not (headed and "pooler" in name.split("."))
    }
    target = model.base_model
    result = target.load_state_dict(body_state, strict=False)
    misfits = [name for name in result.unexpected_keys if "pooler" not in name.split(".") and "decoder" not in name]
    if misfits:
        raise StiltsError(
            f"{source} is a {type(body).__name__} whose {misfits[0]} has no place in {type(model).__name__}. "
            "Nothing was handed over. Use a checkpoint of the same architecture."
        )
    carried = {name for name in target.state_dict() if name in body_state}
    absent = sorted(name for name in missing if name in target.state_dict() and "pooler" not in name.split("."))
    if absent:
        raise StiltsError(
            f"{source} ({trained_as}) does not hold {_modules(tuple(absent))[0]}, which {type(model).__name__} reads "
            "through and which would start at random. Nothing was handed over. Use it for tagging or retrieval, which "
            "read the encoder alone, or start from a checkpoint that holds the whole body."
        )
    prefix = f"{model.base_model_prefix}."
    above = {} if headed else _pretrained_above(source, revision, config, model)
    model.load_state_dict(above, strict=False)
    fresh = tuple(
        name for name, _ in model.named_parameters() if name.removeprefix(prefix) not in carried and name not in above
    )
    model.untrained_head = fresh, _digest(model, fresh)
    return model.eval(), HandOver(source, _commit(source, revision), len(carried) + len(above), fresh)


def load_trained(
    source: str | PreTrainedModel, task: Task, *, revision: str | None = None
) -> tuple[PreTrainedModel, list[int] | None]:
    """Model with the head that it was trained with, and how its classes map onto the task's.

    Of a mixture's heads it is the one of the task, or of the task that trains it (MNLI's for XNLI).

    Returns:
        The model, and for each of the task's labels the index of the same label in the model's outputs
        (`None` where the order is already the task's, or the kind has no labels).

    Raises:
        StiltsError: the checkpoint has no trained head for this kind, the head of a model object is still as
            `with_fresh_head` drew it, or the labels are none that the task knows.
    """
    kind = kind_for(task)
    if isinstance(source, PreTrainedModel):
        names, drawn = getattr(source, "untrained_head", ((), None))
        if names and _digest(source, names) == drawn:
            raise StiltsError(
                f"The head of this model ({', '.join(_modules(names))}) is as it was drawn: its score on {task.name} "
                f"would be chance. Train it first: TargetTrainer(model, args, task={task.name!r}).train()"
            )
        return source, label_order(source.config, task)
    check_name(source)
    if find_adapter(source, revision):
        trained = _head_of_adapter(source, task, revision)
        return trained, label_order(trained.config, task)
    if task.text_to_text:
        return _whole(source, revision, kind)[0], None
    config = transformers.AutoConfig.from_pretrained(source, revision=revision)
    wanted = kind.model_class(config)
    with _quiet():
        model, info = wanted.from_pretrained(source, revision=revision, dtype="float32", output_loading_info=True)
    untrained = sorted(
        name for name in info["missing_keys"] if "pooler" not in name or "MultipleChoice" in wanted.__name__
    )
    if untrained and (of_mixture := _head_of_mixture(source, task, revision)):
        return of_mixture, label_order(of_mixture.config, task)
    if untrained:
        raise StiltsError(
            f"{source} has no trained head for {task.name} ({', '.join(_modules(tuple(untrained)))} would be random); "
            f"expected a {wanted.__name__}. Train one first: hf-stilts target {task.name} --from {source}"
        )
    return model.eval(), label_order(model.config, task)


def label_order(config: PretrainedConfig, task: Task) -> list[int] | None:
    """Index in the model's outputs of each of the task's labels, matched by name or alias.

    >>> nli = Task(kind="text-classification", dataset="x/y", labels=("entailment", "contradiction"),
    ...            aliases={"contradictory": "contradiction"})
    >>> label_order(PretrainedConfig(id2label={0: "contradictory", 1: "entailment"}), nli)
    [1, 0]

    Raises:
        StiltsError: the model's labels have no names (`LABEL_0`), or other names.
    """
    if not task.labels or task.text_to_text:
        return None
    names = [str(config.id2label[index]) for index in range(config.num_labels)]  # some models have numbers
    if tuple(names) == task.labels:
        return None
    folded = {label.lower(): label for label in task.labels} | {
        alias.lower(): label for alias, label in task.aliases.items()
    }
    named = [folded.get(name.lower()) for name in names]
    if None in named or sorted(map(str, named)) != sorted(task.labels):
        raise StiltsError(
            f"The checkpoint was trained with labels ({', '.join(names)}); task {task.name} has "
            f"({', '.join(task.labels)}). Nothing was scored. Add aliases= to the task's file, or train a head: "
            f"hf-stilts target {task.name} --from <checkpoint>"
        )
    return [named.index(label) for label in task.labels]


def _pretrained_above(
    source: str, revision: str | None, config: PretrainedConfig, model: PreTrainedModel
) -> dict[str, torch.Tensor]:
    """Weights above the body that stock loading of a masked LM under this head would find: by the same name in both."""
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        return {}
    with torch.device("meta"):
        names = set(MODEL_FOR_MASKED_LM_MAPPING[type(config)](copy.deepcopy(config)).state_dict())
    shared = [name for name in model.state_dict() if name in names and not name.startswith(model.base_model_prefix)]
    if not shared:
        return {}
    with _quiet():
        stock, info = AutoModelForMaskedLM.from_pretrained(
            source, revision=revision, dtype="float32", output_loading_info=True
        )
    return {name: stock.state_dict()[name] for name in shared if name not in info["missing_keys"]}


def _whole(source: str, revision: str | None, kind: Kind) -> tuple[PreTrainedModel, HandOver]:
    """An encoder-decoder with all its weights, none of which is new."""
    check_name(source)
    if find_adapter(source, revision):
        raise StiltsError(
            f"{source} is an adapter of an encoder; answers in words need a whole encoder-decoder. Start from the "
            "model below it, or from a checkpoint that was trained with --text-to-text."
        )
    config = transformers.AutoConfig.from_pretrained(source, revision=revision)
    model, handover = _continue_pretrained(source, revision, config, kind)
    if handover.fresh:
        raise StiltsError(
            f"{source} ({(config.architectures or [''])[0]}) does not hold {_modules(handover.fresh)[0]}, which "
            "answers in words are written with. Nothing was handed over. Start from the public model, or from a "
            "checkpoint that was trained with --text-to-text."
        )
    return model, handover


def _continue_pretrained(
    source: str, revision: str | None, config: PretrainedConfig, kind: Kind
) -> tuple[PreTrainedModel, HandOver]:
    with _quiet():
        model, info = kind.model_class(config).from_pretrained(
            source, revision=revision, dtype="float32", output_loading_info=True
        )
    fresh = tuple(sorted(info["missing_keys"]))
    carried = len(model.state_dict()) - len(fresh)
    return model.eval(), HandOver(source, _commit(source, revision), carried, fresh)


def _head_of_mixture(source: str, task: Task, revision: str | None) -> PreTrainedModel | None:
    """Model of the task's head in a mixture, or of the task that trains it; None where there is no such head."""
    from hf_stilts.models.heads import has_head, load_head  # which builds on this module

    found = (name for name in (task.name, *task.train[-1:]) if name and has_head(source, name, revision))
    return load_head(source, name, revision, kind=kind_for(task)) if (name := next(found, None)) else None


def _head_of_adapter(source: str, task: Task, revision: str | None) -> PreTrainedModel:
    """Model of the one head that an adapter was trained with, whatever its task was called."""
    from hf_stilts.models.heads import has_head, load_head  # which builds on this module

    record = resolve(f"{source}@{revision}" if revision else source, to_load=False).record
    names = (*(record.task_names[-1:] if record else ()), task.name, *task.train[-1:])
    name = next((name for name in names if has_head(source, name, revision)), None)
    kind = kind_for(task)
    model = load_head(source, name, revision, kind=kind) if name else None
    if model is None or not isinstance(model, kind.model_class(model.config)):
        raise StiltsError(
            f"{source} is an adapter with {f'a {type(model).__name__}' if model else 'no head'} beside it; {task.name} "
            f"expects a {task.kind} head. Train one first: hf-stilts target {task.name} --from {source}"
        )
    return model


def _commit(source: str, revision: str | None) -> str | None:
    """Commit that stock loading has just taken from the Hub, read off its cache; `None` for a folder."""
    if Path(source).is_dir():
        return None
    files = (try_to_load_from_cache(source, name, revision=revision) for name in ("config.json", ADAPTER_CONFIG_NAME))
    return next((Path(file).parent.name for file in files if isinstance(file, str)), revision)


def _at_commit(model: PreTrainedModel, source: str, revision: str | None) -> PreTrainedModel:
    """The same model, its configuration noting the commit, which transformers 5 no longer does; it is never saved."""
    model.config._commit_hash = _commit(source, revision)
    return model


def _digest(model: PreTrainedModel, names: tuple[str, ...]) -> str:
    """Hash of some parameters, by which a head that was never trained is known again."""
    found = hashlib.blake2b(digest_size=16)
    parameters = dict(model.named_parameters())
    for name in names:
        if name in parameters:
            found.update(parameters[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def _modules(parameters: tuple[str, ...]) -> list[str]:
    """Modules of these parameters, each once: `classifier.dense.weight` and `.bias` are `classifier.dense`."""
    return list(dict.fromkeys(name.rsplit(".", 1)[0] for name in parameters)) or ["nothing"]


@contextmanager
def _quiet() -> Iterator[None]:
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
