from .evaluation.zero_shot import zero_shot as zero_shot
from .hub.checkpoints import list_checkpoints as list_checkpoints
from .metrics import metric_path as metric_path
from .retrieval.encode import encode as encode
from .retrieval.mining import match_translations as match_translations
from .retrieval.mining import mine_bitext as mine_bitext
from .task import StiltsError as StiltsError
from .task import Task as Task
from .task import list_tasks as list_tasks
from .task import load_task as load_task
from .training.contrastive import ContrastiveLoss as ContrastiveLoss
from .training.dual_encoder import DualEncoderTrainer as DualEncoderTrainer
from .training.encoder import load_intermediate as load_intermediate
from .training.heads import load_checkpoint as load_checkpoint
from .training.mixture import MixtureTrainer as MixtureTrainer
from .training.publish import PublishCheckpoints as PublishCheckpoints
from .training.trainer import IntermediateTrainer as IntermediateTrainer
from .training.trainer import TargetTrainer as TargetTrainer

__version__: str
