"""Weight decay pulls at the matrices of projections and MLPs, and at nothing else."""

from megabase.training.arguments import decayed_parameters
from tests import toys


def test_only_projections_and_mlp_decay():
    model = toys.model()
    decayed = set(decayed_parameters(model))
    expected = {
        f"backbone.blocks.{i}.{name}.weight"
        for i in range(2)
        for name in ("mixer.in_proj", "mixer.out_proj", "mlp.fc1", "mlp.fc2")
    }
    assert decayed == expected
    assert decayed < {name for name, _ in model.named_parameters()}
