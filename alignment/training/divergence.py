"""How far one model expects tokens otherwise than another, over the whole vocabulary, a few positions at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from alignment.training.vocabulary import Voice, chunks, log_shares


class Compared(NamedTuple):
    """Of each position (P,), float32: the log-probability of its token under the policy and under another model, and
    KL(policy || other) over the whole vocabulary, None where the two do not have as many logits."""

    policy: Tensor
    other: Tensor
    kl: Tensor | None


@torch.no_grad()
def compared(policy: Voice, other: Voice, target: Tensor) -> Compared:
    """What two models say where `target` (P,) is predicted, of a chunk of positions at a time.

    Summed over the positions of an answer that the policy drew, the divergence is the Rao-Blackwellized estimate of the
    KL of whole answers (Amini, Vieira and Cotterell 2025, arXiv 2504.10637): the log-ratio of each drawn token in
    expectation over that token, so it is unbiased as the sum of log-ratios is, never below 0, and varies no more.
    """
    found, other_found, kl = [], [], []
    for rows in chunks(len(target), target.device, max(policy.size, other.size)):
        own, theirs = (log_shares(one.logits(rows).float()) for one in (policy, other))
        places = target[rows, None]
        found.append(own.gather(1, places)[:, 0])
        other_found.append(theirs.gather(1, places)[:, 0])
        if policy.size == other.size:
            shares = own.exp()
            kl.append((shares * (own - theirs)).where(shares > 0, 0).sum(dim=1).clamp_min(0))
    return Compared(torch.cat(found), torch.cat(other_found), torch.cat(kl) if kl else None)
