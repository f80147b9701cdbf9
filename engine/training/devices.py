"""Where to train and in which precision: what the device does well, not merely what it can."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import psutil
import torch

from engine.errors import UsageError
from engine.estimate import machine_memory
from engine.events import Device as DeviceEvent
from engine.job import TrainSection
from engine.processor import cpu_precision, physical_cores

Precision = Literal["fp32", "bf16", "fp16"]
DeviceType = Literal["cpu", "cuda", "mps"]


@dataclass(frozen=True, slots=True)
class Placement:
    """The decision, with its reasons."""

    device: DeviceType
    precision: Precision
    threads: int
    why_device: str
    why_precision: str
    why_threads: str

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which forward passes run."""
        if self.precision == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.device, dtype=dtype)


def place(train: TrainSection) -> Placement:
    """Decide device, precision and threads for a job.

    Raises:
        UsageError: the job names a device that is not there, or a precision that it cannot do.
    """
    device, why_device = _device(train.device)
    precision, why_precision = _precision(train.mixed_precision, device, classic=train.preset == "classic")
    if train.threads == "auto":
        threads = physical_cores()
        why_threads = f"{threads} physical core{'s' if threads != 1 else ''} may be used"
    else:
        threads, why_threads = train.threads, "as asked"
    return Placement(device, precision, threads, why_device, why_precision, why_threads)


def _device(asked: DeviceType | Literal["auto"]) -> tuple[DeviceType, str]:
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked != "auto":
        if not available[asked]:
            raise UsageError(
                f'train.device is "{asked}", but torch {torch.__version__} finds none here.',
                fix='Use "auto" or "cpu", or install the build of torch for this device.',
            )
        return asked, "as asked"
    if available["cuda"]:
        return "cuda", f"{torch.cuda.get_device_name()} is there"
    if available["mps"]:
        return "mps", "the Apple GPU is there"
    return "cpu", "no GPU is there"


def _precision(asked: str | bool, device: str, *, classic: bool) -> tuple[Precision, str]:
    good, reason = _good_precision(device)
    if asked == "auto" or asked is True:
        if asked is True and good == "fp32":
            return "fp32", f"mixed precision would be slower: {reason}"
        return good, reason if asked == "auto" and not classic else f"mixed precision is on: {reason}"
    if asked is False or asked == "fp32":
        return "fp32", "as asked"
    if asked == "fp16" and device != "cuda":
        raise UsageError('train.mixed_precision = "fp16" needs an NVIDIA or AMD GPU.', fix='Use "auto".')
    return ("bf16" if asked == "bf16" else "fp16"), "as asked"


def _good_precision(device: str) -> tuple[Precision, str]:
    if device == "cuda":
        if torch.cuda.get_device_capability() >= (8, 0):
            return "bf16", "the GPU has bfloat16 tensor cores"
        if torch.cuda.get_device_capability() >= (7, 0):
            return "fp16", "the GPU has half-precision tensor cores but no bfloat16"
        return "fp32", "the GPU has no tensor cores"
    if device == "cpu":
        return cpu_precision()
    return "fp32", "16-bit training is not proven on this device"


def measure(device: str, disk_free: int | None) -> DeviceEvent:
    """How the machine is doing right now."""
    if device == "cuda":
        return _measure_cuda(disk_free)
    process = psutil.Process()
    return DeviceEvent(
        memory=process.memory_info().rss,
        memory_total=machine_memory().total,
        utilisation=psutil.cpu_percent(None),
        temperature=_cpu_temperature(),
        disk_free=disk_free,
    )


def _measure_cuda(disk_free: int | None) -> DeviceEvent:
    free, total = torch.cuda.mem_get_info()
    utilisation = temperature = None
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(torch.cuda.current_device())
        utilisation = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        temperature = float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
    except pynvml.NVMLError:
        # The driver may hide these (containers, vGPU); memory alone is still worth showing.
        utilisation = temperature = None
    return DeviceEvent(
        memory=total - free, memory_total=total, utilisation=utilisation, temperature=temperature, disk_free=disk_free
    )


def _cpu_temperature() -> float | None:
    read = getattr(psutil, "sensors_temperatures", None)
    if read is None:
        return None
    try:
        values = [entry.current for entries in read().values() for entry in entries if entry.current]
    except (OSError, ValueError):
        return None
    return max(values, default=None)
