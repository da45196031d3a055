"""Answers a task with text by an encoder-decoder such as mT5, which chooses among nothing but possible answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
from transformers.modeling_outputs import BaseModelOutput

from hf_stilts.declarations import ColumnType
from hf_stilts.errors import StiltsError
from hf_stilts.kinds.base import Kind
from hf_stilts.kinds.features import IGNORED, Batch, column, head_class, map_rows, pad
from hf_stilts.kinds.offsets import Covered, cluster_edges, cover

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from hf_stilts.task import Task


@dataclass(frozen=True)
class TextToText(Kind):
    """The rows, predictions and scores of another kind, with texts as input and answer (Raffel et al. 2020).

    The input begins with the name of the task that trains it and names its parts, as T5 and mT5 (Xue et al. 2021) have
    it: `"mnli: text: ... text_pair: ..."`. The answer is a label's name, the number of a choice from 1, or the tokens
    of the context that the answer to a question covers; nothing for an unanswerable one.

    Only possible answers can come out, so that no zero-shot answer is in the wrong language: labels and choices are
    compared by the likelihood of the whole answer; an answer to a question is decoded greedily, each token being one
    that follows what was decoded so far somewhere in the context.

    Args:
        of: the other kind.
        max_answer: tokens of the longest answer to a question.
    """

    name: ClassVar[str] = "text2text-generation"
    columns: ClassVar[Mapping[str, ColumnType]] = {}  # the other kind's

    of: Kind
    max_answer: int = 30

    @property
    def spans(self) -> bool:
        """Whether answers are pieces of the context; else they are listed."""
        return self.of.text_answers == "span"

    @property
    def generates(self) -> bool:
        """Answers are decoded or compared in several calls of the model."""
        return True

    @property
    def max_length(self) -> int:
        """Tokens of an input; a context is not cut into windows, and has mT5's 1,024."""
        return 1024 if self.spans else self.of.max_length

    def in_language(self, task: Task, language: str) -> TextToText:
        """The same with the other kind set up for a language."""
        return replace(self, of=self.of.in_language(task, language))

    def model_class(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """`AutoModelForSeq2SeqLM`'s class."""
        if type(config) not in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
            raise StiltsError(
                f"{config.model_type} has no decoder to write answers with; mT5 and umT5 have. "
                "Pass --base google/mt5-base, or leave out --text-to-text."
            )
        return head_class(MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, config, self.name)

    def head_config(self, task: Task) -> dict[str, Any]:
        """Nothing: the decoder is the pre-trained one."""
        return {}

    def features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int, train: bool
    ) -> Dataset:
        """One feature per row, cut at its end; `labels` are the tokens of the answer.

        In training, rows without an answer, or whose answer was cut away, are dropped. In evaluation there are also the
        token lists of all `answers`, or of a question the tokens of its `context` and the characters that each covers.

        Raises:
            StiltsError: a row in which something is missing, or a tokenizer that does not know the characters of its
                tokens, where answers are pieces of text.
        """
        self.of.check(task, rows)
        if self.spans:
            return self._span_features(task, rows, tokenizer, max_length, train)
        golds = self.of.gold_numbers(task, rows)
        keep = [row for row, gold in enumerate(golds) if gold >= 0 or not train]

        def make(batch: Batch, numbers: list[int]) -> Batch:
            encoded = tokenizer(_inputs(task, batch), truncation=True, max_length=max_length)
            listed = self.of.listed_answers(task, batch)
            tokens = {words: tokenizer(list(words))["input_ids"] for words in set(listed)}
            answers = [tokens[words] for words in listed]
            labels = [
                answer[golds[row]] if golds[row] >= 0 else [IGNORED]
                for row, answer in zip(numbers, answers, strict=True)
            ]
            return {**encoded, "labels": labels, "row": numbers, **({} if train else {"answers": answers})}

        return map_rows(
            make, task, rows, tokenizer, keep, kind=self, max_length=max_length, train=train, name=_prefix(task)
        )

    def _span_features(
        self, task: Task, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, train: bool
    ) -> Dataset:
        if not tokenizer.is_fast:
            raise StiltsError(
                f"{type(tokenizer).__name__} does not know which characters its tokens cover; answers to questions "
                "need that. Use a tokenizer with a fast version, as mT5 has one."
            )
        end = tokenizer.eos_token_id
        answers = column(rows, "answers", None)
        silent = self.of.may_be_silent(rows)

        def make(batch: Batch, numbers: list[int]) -> Batch:
            texts = _inputs(task, batch)
            encoded = tokenizer(texts, truncation=True, max_length=max_length, return_offsets_mapping=True)
            made: Batch = {name: [] for name in ("labels", "context", "starts", "ends")}
            for text, context, row, offsets, ids in zip(
                texts, batch["context"], numbers, encoded.pop("offset_mapping"), encoded["input_ids"], strict=True
            ):
                read = _covered(context, np.array(offsets, dtype=np.int32) - (len(text) - len(context)))
                made["labels"].append(_gold_tokens(answers[row], ids, read, end, silent))
                tokens = np.flatnonzero(read.starts >= 0).tolist()
                covered = [(ids[at], int(read.whole_starts[at]), int(read.whole_ends[at])) for at in tokens]
                # An end before the context is the answer to an unanswerable question: nothing.
                may_come = [(end, 0, 0), *covered] if silent else covered
                for place, name in enumerate(("context", "starts", "ends")):
                    made[name].append([each[place] for each in may_come])
            if train:
                made = {"labels": made["labels"]}
            found = {**encoded, **made, "row": numbers}
            kept = [place for place, labels in enumerate(found["labels"]) if not train or labels != [IGNORED]]
            return {name: [values[place] for place in kept] for name, values in found.items()}

        keep = list(range(len(rows)))
        return map_rows(
            make, task, rows, tokenizer, keep, kind=self, max_length=max_length, train=train, name=_prefix(task)
        )

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
        """Pads to the longest of a batch; `answers` become (batch, answers, length), both padded with -100."""
        return partial(_padded, tokenizer=tokenizer)

    def run(self, model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Answers of a batch that `features` made for evaluation.

        Returns:
            int64 (batch,), the number of the likeliest answer; or (batch, max_answer + 1), tokens padded with -100.
        """
        read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if self.spans:
            return self._decoded(model, read, inputs["context"])
        return likelihoods(model, read, inputs["answers"]).argmax(dim=1)

    def _decoded(self, model: PreTrainedModel, read: dict[str, torch.Tensor], contexts: torch.Tensor) -> torch.Tensor:
        end = model.generation_config.eos_token_id
        end = end[0] if isinstance(end, list) else end
        listed = []
        for context in contexts.tolist():
            listed.append([token for token in context if token != IGNORED])
        begins: list[dict[int, list[int]]] = [{} for _ in listed]
        for context, places in zip(listed, begins, strict=True):
            for at, token in enumerate(context):
                places.setdefault(token, []).append(at)

        def allowed(row: int, decoded: torch.Tensor) -> list[int]:
            context, so_far = listed[row], decoded[1:].tolist()  # the first token only starts the decoder
            if not so_far:
                return [*begins[row]] or [end]
            if end in so_far:
                return [end]
            following = {end}
            for start in begins[row][so_far[0]]:
                stop = start + len(so_far)
                if context[start:stop] == so_far and stop < len(context):
                    following.add(context[stop])
            return list(following)

        longest = self.max_answer + 1
        tokens: torch.Tensor = model.generate(
            **read, prefix_allowed_tokens_fn=allowed, max_new_tokens=longest, num_beams=1, do_sample=False
        )
        tokens = tokens[:, 1:]
        past = (tokens == end).cumsum(dim=1) > 0
        tokens = tokens.masked_fill(past, IGNORED)
        return torch.nn.functional.pad(tokens, (0, longest - tokens.shape[1]), value=IGNORED)

    def reduce(self, logits: Any, labels: Any = None) -> torch.Tensor:
        """What `run` gives, as it is."""
        reduced: torch.Tensor = logits
        return reduced

    def decode(self, task: Task, rows: Dataset, features: Dataset, outputs: Sequence[Any]) -> Sequence[Any]:
        """The other kind's predictions; of several places in the context where an answer stands, the first."""
        if not self.spans:
            return self.of.decode(task, rows, features, outputs)
        found = []
        covered = features.select_columns(["context", "starts", "ends"])
        for text, feature, output in zip(rows["context"][:], covered, outputs, strict=True):
            answer = [int(token) for token in output if token != IGNORED]
            context: list[int] = feature["context"]
            places = range(len(context) - len(answer) + 1)
            at = next((place for place in places if answer and context[place : place + len(answer)] == answer), None)
            found.append("" if at is None else text[feature["starts"][at] : feature["ends"][at + len(answer) - 1]])
        return [answer.strip() for answer in found]

    def score(self, task: Task, predictions: Sequence[Any], rows: Dataset) -> dict[str, float]:
        """The other kind's."""
        return self.of.score(task, predictions, rows)

    def shares(self, task: Task, predictions: Sequence[Any], rows: Dataset) -> NDArray[np.float64] | None:
        """The other kind's."""
        return self.of.shares(task, predictions, rows)


def likelihoods(model: PreTrainedModel, read: dict[str, torch.Tensor], answers: torch.Tensor) -> torch.Tensor:
    """Log likelihood, float32 (batch, answers), of each whole answer; -inf of those that are padding.

    Args:
        model: encoder-decoder.
        read: what the encoder reads.
        answers: token ids int64 (batch, answers, length), padded with -100.
    """
    batch, number, _ = answers.shape
    flat = answers.flatten(0, 1)
    hidden = model.get_encoder()(**read).last_hidden_state
    logits = model(
        encoder_outputs=BaseModelOutput(last_hidden_state=hidden.repeat_interleave(number, dim=0)),
        attention_mask=read["attention_mask"].repeat_interleave(number, dim=0),
        decoder_input_ids=model.prepare_decoder_input_ids_from_labels(flat),
    ).logits
    lost = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), flat, ignore_index=IGNORED, reduction="none"
    ).sum(dim=1)
    return (-lost).masked_fill((flat == IGNORED).all(dim=1), -torch.inf).view(batch, number)


def _inputs(task: Task, batch: Batch) -> list[str]:
    """A row as one text, its parts named; the context last, where it may be cut.

    >>> from hf_stilts.task import load_task
    >>> _inputs(load_task("xnli"), {"text": ["It rains."], "text_pair": ["It is wet."]})
    ['xnli: text: It rains. text_pair: It is wet.']
    """
    parts: list[tuple[str, Sequence[str]]] = []
    for name, holds in task.declaration.columns.items():
        if holds == "text" and name in batch and name != "context":
            parts.append((name, batch[name]))
    if "choices" in batch:
        columns = zip_longest(*batch["choices"], fillvalue="")
        parts += [(f"choice{number}", choices) for number, choices in enumerate(columns, 1)]
    if "context" in batch:
        parts.append(("context", batch["context"]))
    texts = []
    for place in range(len(parts[0][1])):
        named = [f"{part}: {values[place]}" for part, values in parts if values[place]]
        texts.append(" ".join([f"{_prefix(task)}:", *named]))
    return texts


def _prefix(task: Task) -> str:
    """Name of the task whose rows train it."""
    return (task.train or (task.name,))[-1]


def _covered(context: str, offsets: NDArray[np.int32]) -> Covered:
    """Characters of the context that each token stands for; `offsets`, (tokens, 2), count from its first character."""
    of_context = offsets[:, 1] > 0
    offsets = np.maximum(offsets, 0)
    # The last token stands for its whole letter, but for nothing that was cut away behind it.
    edges = cluster_edges(context)
    edges = edges[: np.searchsorted(edges, offsets[of_context, 1].max(initial=0)) + 1]
    return cover(context[: edges[-1]], edges, [(offsets, of_context)])[0]


def _gold_tokens(answers: Any, ids: list[int], covered: Covered, end: int, silent: bool) -> list[int]:
    """Tokens of the context that the first gold answer covers, then the end; -100 where they were cut away."""
    text = answers["text"][0] if answers and answers["text"] else ""
    if not text.strip():
        return [end] if silent and answers is not None else [IGNORED]
    first = answers["answer_start"][0] + len(text) - len(text.lstrip())
    last = first + len(text.strip())
    touched = np.flatnonzero((covered.starts >= 0) & (covered.ends > first) & (covered.starts < last))
    whole = len(touched) and covered.whole_ends.max() >= last
    return [*(ids[token] for token in touched), end] if whole else [IGNORED]


def _padded(features: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase) -> dict[str, torch.Tensor]:
    batch = pad(features, tokenizer)
    if "answers" in features[0]:
        rows = [
            torch.tensor(list(zip_longest(*row["answers"], fillvalue=IGNORED))) for row in features
        ]  # (length, answers)
        longest = max(row.shape[0] for row in rows)
        rows = [torch.nn.functional.pad(row, (0, 0, 0, longest - row.shape[0]), value=IGNORED).T for row in rows]
        batch["answers"] = pad_sequence(rows, True, IGNORED)
    if "context" in features[0]:
        batch["context"] = pad_sequence([torch.tensor(row["context"]) for row in features], True, IGNORED)
    return batch
