"""Time to an event: the partial likelihood of proportional hazards, ties included."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def cox_loss(
    risk: Tensor, time: Tensor, event: Tensor, ties: Literal["breslow", "efron"] = "efron", penalty: float = 0.0
) -> Tensor:
    """Negative log partial likelihood per event; float32 at least, whatever autocast says.

    Who shares a time with an event is at risk at that time. Rows of unknown time (NaN) or with a time that is not
    above 0 are left out.

    Args:
        risk: log hazards, `(B,)` or `(B, 1)`.
        time: until the event or the end of what was observed, `(B,)`, any unit.
        event: whether it happened, `(B,)`; otherwise the row is censored.
        ties: how events at the same time are counted; both are the same without such.
        penalty: of the mean squared risk.

    Returns:
        A scalar; 0 with a gradient of 0 where nothing happened.

    Source: Cox 1972; Breslow 1974; Efron 1977. The penalty is that of Neuro-JEPA spec, section 10.2 (1e-3); its own
    loss puts ties in the order in which they stand.
    """
    with torch.autocast(risk.device.type, enabled=False):
        risk = risk.reshape(-1).float() if risk.dtype in (torch.float16, torch.bfloat16) else risk.reshape(-1)
        usable = torch.isfinite(time) & (time > 0)
        risk, time, event = risk[usable], time[usable], event[usable].bool()
        count = int(event.sum())
        if not count:
            return risk.sum() * 0
        order = torch.argsort(time, descending=True, stable=True)
        risk, time, event = risk[order], time[order], event[order]
        _, group = torch.unique_consecutive(time, return_inverse=True)
        last = torch.searchsorted(group, torch.arange(int(group[-1]) + 1, device=group.device), right=True) - 1
        at_risk = torch.logcumsumexp(risk, dim=0)[last][group]  # of all whose time is not shorter
        if ties == "efron":
            at_risk = _without_half(risk, event, group, at_risk)
        loss = (at_risk - risk)[event].sum() / count
    return loss + penalty * risk.square().mean() if penalty else loss


def _without_half(risk: Tensor, event: Tensor, group: Tensor, at_risk: Tensor) -> Tensor:
    """Take from the risk set of the l-th of d simultaneous events l / d of what these weigh."""
    groups = int(group[-1]) + 1
    highest = risk.max().detach()
    weight = torch.where(event, (risk - highest).exp(), 0.0)
    together = torch.zeros(groups, dtype=risk.dtype, device=risk.device).index_add(0, group, weight)[group]
    events = torch.zeros(groups, dtype=risk.dtype, device=risk.device).index_add(0, group, event.to(risk.dtype))
    before = event.to(risk.dtype).cumsum(0) - event.to(risk.dtype)  # events in front of each row, over all groups
    start = torch.cat([events.new_zeros(1), events.cumsum(0)[:-1]])
    share = (before - start[group]) / events[group].clamp(min=1)
    taken = share * together
    left = ((at_risk - highest).exp() - taken).clamp(min=torch.finfo(risk.dtype).tiny)
    return torch.where(event & (share > 0), left.log() + highest, at_risk)
