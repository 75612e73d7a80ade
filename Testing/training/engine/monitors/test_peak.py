"""The peak of a device: from a data sheet where the name fits whole, measured elsewhere, or not stated."""

from __future__ import annotations

import pytest
import torch

from training.engine.monitors.peak import find_peak, look_up


@pytest.mark.parametrize(
    ("name", "kind", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4),
        ("NVIDIA H100 PCIe", "bf16", 756),
        ("NVIDIA A100-SXM4-80GB", "tf32", 156),
        ("NVIDIA A100 80GB PCIe", "fp32", 19.5),
        ("NVIDIA L4", "bf16", 121),
        ("NVIDIA L40S", "bf16", 362),
        ("NVIDIA GeForce RTX 4090", "bf16", 165.2),
        ("Tesla T4", "fp32", 8.1),
    ],
)
def test_known_devices(name, kind, tera):
    assert look_up(name, kind) == pytest.approx(tera * 1e12)


@pytest.mark.parametrize(
    "name", ["NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA A10G", "NVIDIA L40", "?"]
)
def test_devices_that_only_look_alike_are_not_stated(name):
    assert look_up(name, "bf16") is None


def test_no_bf16_figure_where_the_device_has_none():
    assert look_up("Tesla T4", "bf16") is None


def test_a_cpu_is_measured_or_not_stated():
    assert find_peak("cpu", "fp32", measure=False) is None
    peak = find_peak(torch.device("cpu"), "fp32")
    assert peak.flops_per_second > 1e8
    assert "measured" in peak.source
