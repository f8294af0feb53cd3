"""How good checkpoints think responses that are already written; needs torch."""

from alignment.rewards.scoring import Asked as Asked
from alignment.rewards.scoring import Scored as Scored
from alignment.rewards.scoring import Scorer as Scorer
