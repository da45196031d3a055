from .errors import StiltsError as StiltsError
from .evaluation.zero_shot import zero_shot as zero_shot
from .hub.checkpoints import list_checkpoints as list_checkpoints
from .metrics import metric_path as metric_path
from .models.heads import load_checkpoint as load_checkpoint
from .models.transfer import load_intermediate as load_intermediate
from .publishing.callback import PublishCheckpoints as PublishCheckpoints
from .retrieval.encode import encode as encode
from .retrieval.mining import match_translations as match_translations
from .retrieval.mining import mine_bitext as mine_bitext
from .studies.study import Intermediate as Intermediate
from .studies.study import Merged as Merged
from .studies.study import Soup as Soup
from .studies.study import Study as Study
from .task import Task as Task
from .task import list_tasks as list_tasks
from .task import load_task as load_task
from .training.contrastive import ContrastiveLoss as ContrastiveLoss
from .training.dual_encoder import DualEncoderTrainer as DualEncoderTrainer
from .training.mixture import MixtureTrainer as MixtureTrainer
from .training.trainer import IntermediateTrainer as IntermediateTrainer
from .training.trainer import TargetTrainer as TargetTrainer

__version__: str
