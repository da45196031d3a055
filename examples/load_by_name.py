"""Start a fine-tuning of your own from a published intermediate checkpoint, then score it in every language."""

from transformers import AutoModel

from hf_stilts import TargetTrainer, load_intermediate, zero_shot

base, namespace = "FacebookAI/xlm-roberta-base", "me"
encoder = load_intermediate("mnli", base=base, namespace=namespace)
same = AutoModel.from_pretrained("me/xlm-roberta-base-stilts-mnli")  # stock classes load it too

trainer = TargetTrainer(base=base, init="mnli", namespace=namespace, task="udpos")  # the body goes on, the head is new
trainer.train()
scores = zero_shot(trainer, "udpos")
print(scores[scores["main"]][["language", "setting", "score"]])
