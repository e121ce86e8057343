"""PatchTST of Hugging Face's ``transformers``, on the windows of this project.

    pip install transformers
    python benchmarks/compare.py --peer benchmarks.peers.patchtst:build

Nie, Nguyen, Sinthong and Kalagnanam (2023), "A Time Series is Worth 64 Words". It reads every wave as a channel of its
own and forecasts all of them; the four prices are what is scored. Its width, heads, layers and dropout are those of
the settings, its patches the paper's: 16 days long, 8 apart.
"""

import torch
from torch import Tensor, nn
from transformers import PatchTSTConfig, PatchTSTForPrediction

from model_core.axes import TARGETS
from model_core.config.model import ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Window

PATCH_DAYS, STRIDE_DAYS = 16, 8


class PatchTST(nn.Module):
    """From a window's waves to displacements of the four prices, [B, P, 4]."""

    def __init__(self, settings: ModelSettings, inputs: ModelInputs) -> None:
        super().__init__()
        width = settings.d_model - settings.d_model % settings.n_heads
        self.model = PatchTSTForPrediction(
            PatchTSTConfig(
                num_input_channels=settings.num_input_waves,
                context_length=inputs.window.seq_len,
                prediction_length=inputs.window.pred_len,
                patch_length=PATCH_DAYS,
                patch_stride=STRIDE_DAYS,
                d_model=width,
                num_attention_heads=settings.n_heads,
                num_hidden_layers=settings.e_layers,
                ffn_dim=settings.d_ff,
                attention_dropout=settings.dropout,
                ff_dropout=settings.dropout,
                scaling=None,
            )
        )

    def forward(self, window: Window) -> Tensor:
        """The prices' channels of the forecast."""
        forecast: Tensor = self.model(past_values=window.past_waves.to(torch.float32)).prediction_outputs
        return forecast[..., : len(TARGETS)]


def build(settings: ModelSettings, inputs: ModelInputs) -> nn.Module:
    """What ``benchmarks.compare`` calls."""
    return PatchTST(settings, inputs)
