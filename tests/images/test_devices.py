import pytest

from service.bisection.outcomes import RunReport, Untestable, classify
from service.execution.devices import NO_DEVICE, DeviceOptions, is_refused_device, without_device
from service.execution.hardening import container_config
from service.execution.limits import Limits


def judge(_: object) -> Untestable:
    raise AssertionError("a run without a device has nothing to judge")


def test_a_run_on_the_cpu_asks_for_no_device() -> None:
    assert DeviceOptions(count=2, memory_bytes=1, runtime="nvidia").host_config("cpu") == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (DeviceOptions(), {}),
        (DeviceOptions(memory_bytes=8), {"Memory": 8, "MemorySwap": 8}),
        (DeviceOptions(runtime="nvidia"), {"Runtime": "nvidia"}),
    ],
)
def test_a_run_on_cuda_asks_for_devices_memory_and_runtime(options: DeviceOptions, expected: dict[str, object]) -> None:
    asked = options.host_config("cuda")
    assert asked.pop("DeviceRequests") == [{"Driver": "", "Count": 1, "Capabilities": [["gpu"]]}]
    assert asked == expected


def test_a_device_takes_no_protection_away() -> None:
    limits = Limits(memory_bytes=5)
    bare = container_config("i", ["c"], limits, labels={})["HostConfig"]
    asked = DeviceOptions(memory_bytes=8).host_config("cuda")
    held = container_config("i", ["c"], limits, labels={}, devices=asked)["HostConfig"]
    assert {name: value for name, value in held.items() if bare.get(name) != value} == asked


@pytest.mark.parametrize(
    ("hardware", "device", "changed"),
    [("cpu", "cpu", False), ("cuda", "/device:GPU:0", False), ("cuda", "", False), ("cuda", "cpu", True)],
)
def test_a_run_on_cuda_never_falls_back_to_the_cpu_in_silence(hardware: str, device: str, changed: bool) -> None:
    report = RunReport("answered", device=device, result={"kind": "measured", "measurements": {}})
    found = without_device(report, hardware)  # type: ignore[arg-type]
    assert (found != report) is changed
    if changed:
        assert classify(found, judge) == Untestable(NO_DEVICE)


@pytest.mark.parametrize(
    ("complaint", "refused"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', True),
        ("unknown or invalid runtime name: nvidia", True),
        ("connection refused", False),
    ],
)
def test_an_engine_without_a_device_is_told_from_one_that_is_gone(complaint: str, refused: bool) -> None:
    assert is_refused_device(complaint) is refused
