"""Training with PyTorch over links that fail, among peers that come and go.

    DiLoCo             H local steps, then one outer step on the average of all members' progress
    AsyncDiLoCo        the same, with the averaging hidden behind the next H steps
    StreamingDiLoCo    the same, in fragments, each hidden behind a few steps
    DataParallel       gradients averaged every step, while backward goes on
    Site               the ranks that hold the shards of one replica (FSDP2)
    DataPlan           which samples belong to a member's place in a stream that all share
    as_optimizer       one of the DiLoCo family as a torch.optim.Optimizer, for frameworks
    Round              what an outer step was: `last_round` of the DiLoCo family

hawser.torch.distributed registers the backend "hawser" of torch.distributed. docs/python.md has an example,
docs/optim.md the arithmetic. Needs torch; nothing else of the package imports it.
"""

from hawser.torch.as_optimizer import as_optimizer
from hawser.torch.async_diloco import AsyncDiLoCo
from hawser.torch.data_parallel import DataParallel
from hawser.torch.data_plan import DataPlan
from hawser.torch.diloco import DiLoCo
from hawser.torch.round_report import Round
from hawser.torch.site import Site
from hawser.torch.streaming_diloco import StreamingDiLoCo

__all__ = ["AsyncDiLoCo", "DataParallel", "DataPlan", "DiLoCo", "Round", "Site", "StreamingDiLoCo", "as_optimizer"]
