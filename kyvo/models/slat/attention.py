"""Attention among the tokens of one window, or of one object, over sparse voxels.

Windows are cubes of the grid (https://arxiv.org/abs/2103.14030, in 3D); every second block moves them by half a side.
A window holds as many tokens as its cells are active. Windows are gathered in groups of like length, padded to the
longest of the group, so that a handful of calls of scaled_dot_product_attention does them all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.models.slat.sparse import SparseTensor, Voxels, flatten_coords

# Rows of queries, keys and values [tokens, 3, heads, width] -> what each token attended to [tokens, heads, width].
Attend = Callable[[Tensor], Tensor]

PADDING_STEP = 1.25  # lengths of one group differ by at most this factor


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowGroup:
    """Windows of like length. Padded places repeat some token of the batch and are masked."""

    rows: Int[Tensor, "windows length"]  # of the tokens
    is_token: Bool[Tensor, "windows length"] | None  # None: nothing is padded


def group_windows(window: Int[Tensor, " tokens"]) -> tuple[WindowGroup, ...]:
    """Groups the tokens by their `window` numbers."""
    order = window.argsort(stable=True)
    _, counts = window[order].unique_consecutive(return_counts=True)
    starts = counts.cumsum(0) - counts
    counts, by_length = counts.sort()
    starts = starts[by_length]

    groups, first, lengths = [], 0, counts.tolist()
    for last in range(1, len(lengths) + 1):
        if last < len(lengths) and lengths[last] <= PADDING_STEP * lengths[first]:
            continue
        place = torch.arange(lengths[last - 1], device=window.device)
        is_token = place < counts[first:last, None]
        rows = order[(starts[first:last, None] + place).clamp_(max=len(order) - 1)]
        padded = lengths[first] != lengths[last - 1]
        groups.append(WindowGroup(rows=rows, is_token=is_token if padded else None))
        first = last
    return tuple(groups)


def object_windows(voxels: Voxels) -> tuple[WindowGroup, ...]:
    """One window an object."""
    return voxels.memo("objects", lambda: group_windows(voxels.coords[:, 0]))


def cube_windows(voxels: Voxels, size: int, shift: int) -> tuple[WindowGroup, ...]:
    """Windows of `size`^3 cells; a cell's window is floor((cell + shift) / size) on each axis, without wrapping."""

    def make() -> tuple[WindowGroup, ...]:
        cubes = torch.cat([voxels.coords[:, :1], (voxels.coords[:, 1:] + shift) // size], dim=1)
        return group_windows(flatten_coords(cubes, (voxels.resolution + shift) // size + 1))

    return voxels.memo(("cubes", size, shift), make)


def grouped_attention(
    qkv: Float[Tensor, "tokens 3 heads width"], groups: tuple[WindowGroup, ...]
) -> Float[Tensor, "tokens heads width"]:
    """Each token attends to all tokens of its own window."""
    out = qkv.new_zeros(qkv.shape[0], *qkv.shape[2:])
    for group in groups:
        query, key, value = qkv[group.rows].permute(2, 0, 3, 1, 4)  # windows heads length width
        mask = None if group.is_token is None else group.is_token[:, None, None, :]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)
        if group.is_token is None:
            out = out.index_put((group.rows,), attended)
        else:
            out = out.index_put((group.rows[group.is_token],), attended[group.is_token])
    return out


class HeadRMSNorm(nn.Module):
    """x / |x| * sqrt(width) * gamma over each head's width, in float32 (https://arxiv.org/abs/2010.04245)."""

    def __init__(self, num_heads: int, width: int, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_heads, width, device=device))

    def forward(self, x: Float[Tensor, "*rows heads width"]) -> Float[Tensor, "*rows heads width"]:
        return (F.normalize(x.float(), dim=-1) * self.gamma * x.shape[-1] ** 0.5).to(x.dtype)


class SparseAttention(nn.Module):
    """Multi-head self-attention. `window_size` None: among all tokens of an object."""

    def __init__(
        self,
        channels: int,
        *,
        num_heads: int,
        window_size: int | None,
        shift: int = 0,
        qk_rms_norm: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels % num_heads:
            raise ConfigError(
                f"{channels} channels do not divide into {num_heads} heads; take a multiple of the heads."
            )
        self.num_heads = num_heads
        self.window_size = window_size
        self.shift = shift
        self.to_qkv = nn.Linear(channels, 3 * channels, device=device, dtype=dtype)
        self.to_out = nn.Linear(channels, channels, device=device, dtype=dtype)
        self.q_rms_norm, self.k_rms_norm = (
            HeadRMSNorm(num_heads, channels // num_heads, device=device) if qk_rms_norm else None for _ in range(2)
        )

    def forward(self, x: SparseTensor, attend: Attend | None = None) -> SparseTensor:
        """`attend` says who attends to whom; by default the tokens of one window to each other."""
        qkv = self.to_qkv(x.feats).unflatten(1, (3, self.num_heads, -1))
        if self.q_rms_norm is not None and self.k_rms_norm is not None:
            query, key, value = qkv.unbind(1)
            qkv = torch.stack([self.q_rms_norm(query), self.k_rms_norm(key), value], dim=1)
        attended = grouped_attention(qkv, self._groups(x.voxels)) if attend is None else attend(qkv)
        return x.replace(self.to_out(attended.flatten(1)))

    def _groups(self, voxels: Voxels) -> tuple[WindowGroup, ...]:
        if self.window_size is None:
            return object_windows(voxels)
        return cube_windows(voxels, self.window_size, self.shift)
