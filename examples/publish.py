"""Publish every checkpoint of a plain Trainer script: one callback more."""

from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

from hf_stilts import PublishCheckpoints

base = "FacebookAI/xlm-roberta-base"
tokenizer = AutoTokenizer.from_pretrained(base)
rows = load_dataset("nyu-mll/glue", "mnli", split="train")
trainer = Trainer(
    AutoModelForSequenceClassification.from_pretrained(base, num_labels=3),
    TrainingArguments("runs/mnli", save_steps=500, save_total_limit=1),
    train_dataset=rows.map(lambda row: tokenizer(row["premise"], row["hypothesis"], truncation=True), batched=True),
    processing_class=tokenizer,
    callbacks=[PublishCheckpoints("me/xlm-roberta-base-stilts-mnli")],
)
trainer.train()  # every saved step is on the Hub as tag step-N: private, with a card and its lineage
